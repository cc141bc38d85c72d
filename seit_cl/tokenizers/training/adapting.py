"""Training of the map that rotates, shears and recolours token grids (`TokenAdapter`).

Of an image x and a changed image y, the tokenizer gives the codes of both. The map gets those of x
and the change, and learns those of y. A change of colours it gets as statistics of its features of
y; when it is used, they are those of another image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seit_cl.learner.augment.token_adapt import (
    STYLES,
    TokenAdapter,
    affine_matrices,
    channel_statistics,
    restyle,
    warp,
)
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.tokenizers.base import Tokenizer
from seit_cl.tokenizers.training.contrastive import change_colours
from seit_cl.tokenizers.training.timed import Position, TimedTraining

WEIGHT_DECAY = 0.02
WARP_P = 0.8  # probability that an image is rotated and sheared
RECOLOUR_P = 0.5  # probability that its colours are changed
MOMENTUM = 0.99  # of running means


@dataclass(frozen=True)
class AdapterSettings:
    """Settings of a map's training.

    Args:
        minutes: wall-clock time.
        steps: optimiser steps, in place of the minutes; 0: the minutes count.
        batch: images per step.
        learning_rate: peak rate of AdamW.
        seed: of weights, batches and changes.
    """

    minutes: float = 5.0
    steps: int = 0
    batch: int = 64
    learning_rate: float = 2e-3
    seed: int = 0


class AdapterProgress(NamedTuple):
    """Progress of a map's training; means are running ones.

    Args:
        step: optimiser steps before the reported one.
        fraction: of the training.
        speed: images per second.
        loss: mean cross-entropy of a code, in nats.
        agreement: share of the positions of warped images whose code the map finds.
        unadapted: share whose code is found by moving codes to their new places.
    """

    step: int
    fraction: float
    speed: float
    loss: float
    agreement: float
    unadapted: float


class AdapterTraining(TimedTraining):
    """Train a map for a tokenizer on images that are all in memory.

    Args:
        images: (N, 3, S, S) uint8, on the CPU or on the tokenizer's device.
        tokenizer: gives codes; on the device of the training.
        settings: see AdapterSettings.
        made_of: names the images; a checkpoint goes on only with the same.
    """

    def __init__(
        self,
        images: Tensor,
        tokenizer: Tokenizer,
        settings: AdapterSettings,
        made_of: Mapping[str, str],
    ) -> None:
        super().__init__(settings.minutes, settings.steps, settings.batch, settings.learning_rate)
        self.images = images
        self.tokenizer = tokenizer
        self.settings = settings
        self.made_of = {**made_of, "tokenizer": tokenizer.identity}
        self.device = tokenizer.codebook.device
        self.embedding = TokenAugment(tokenizer.codebook, tokenizer.combine).to(self.device)
        groups, codes, _ = tokenizer.codebook.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            adapter = TokenAdapter(self.embedding.dim, groups, codes)
        self.adapter = adapter.to(self.device)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.optimizer = torch.optim.AdamW(
            self.adapter.parameters(),
            lr=settings.learning_rate,
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )
        self.means = torch.zeros(3, device=self.device)  # as in AdapterProgress

    def train_step(self) -> tuple[Tensor, ...]:
        """Take one optimiser step; return the running means."""
        rows = torch.randint(len(self.images), (self.batch,), generator=self.generator)
        images = self.images[rows].to(self.device)
        numbers = torch.rand(8, self.batch, 1, 1, 1, generator=self.generator).to(self.device)
        cast = torch.randn(self.batch, 3, 1, 1, generator=self.generator).to(self.device)
        is_warped = numbers[0] < WARP_P
        is_recoloured = numbers[1] < RECOLOUR_P
        matrices = affine_matrices(numbers[2:5, :, 0, 0, 0].T)
        changed = images.float() / 255
        changed = torch.where(is_warped, warp(changed, matrices), changed)
        recoloured = change_colours(changed, numbers[5], numbers[6], numbers[7], cast)
        changed = torch.where(is_recoloured, recoloured, changed)
        with torch.no_grad():
            before = self.tokenizer.encode(images)
            after = self.tokenizer.encode((255 * changed.clamp(0, 1)).round().to(torch.uint8))
        features = self.adapter.encoder(self.embedding.embed(before))
        features = torch.where(is_warped, warp(features, matrices), features)
        style = channel_statistics(self.adapter.encoder(self.embedding.embed(after)))
        whole = torch.ones(self.batch, device=self.device)
        features = torch.where(is_recoloured, restyle(features, style, whole), features)
        scores = self.adapter.logits(features)
        loss = F.cross_entropy(scores.transpose(1, 2), after.long())
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        moved = warp(before.float(), matrices, "nearest")
        found = torch.stack([scores.argmax(2) == after, moved == after])
        weight = is_warped.float() / is_warped.sum().clamp(min=1)
        agreement = (found.float().mean(dim=(2, 3, 4)) * weight.flatten()).sum(1)
        values = torch.cat([loss.detach()[None], agreement])
        self.means.lerp_(values, 1.0 - (MOMENTUM if self.step else 0.0))
        self.step += 1
        return (self.means,)

    @torch.no_grad()
    def finish(self) -> TokenAdapter:
        """Give the map the statistics of training images, and return it."""
        generator = torch.Generator().manual_seed(self.settings.seed)
        rows = torch.randint(len(self.images), (STYLES,), generator=generator)
        tokens = self.tokenizer.encode(self.images[rows].to(self.device))
        self.adapter.keep_styles(self.embedding.embed(tokens))
        return self.adapter

    def progress(self, position: Position, *values: Tensor) -> AdapterProgress:
        """Progress after a step with running means."""
        return AdapterProgress(*position, *values[0].tolist())

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "kind": "seit_cl adapter training",
            "settings": asdict(self.settings),
            "config": self.made_of,
            "images": len(self.images),
            "model": self.adapter.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "means": self.means,
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same settings and images."""
        self.adapter.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.means.copy_(state["means"])
