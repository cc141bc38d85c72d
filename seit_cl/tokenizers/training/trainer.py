"""Training a vector-quantised autoencoder: reconstruction, commitment, and a classification loss on its codes.

The classification loss asks a network on the quantised codes to tell the classes of the training images apart, which are
never those of a benchmark. Codes that keep what tells objects apart serve a learner better, though they give images back a
little less well (docs/tokenizer.md has the ablation).

With several levels, each image of a batch is given back from its first n of them, n drawn evenly, so that every n will do
(quantiser dropout: Zeghidour et al., SoundStream, 2021). Levels can be added to a tokenizer that is there: encoder and first
codebook stand still then, so that its tokens of the first level stay what they were.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.learner.augment.crops import crop_resize, random_resized_boxes
from seit_cl.tokenizers.nets.mirror import ToPairs
from seit_cl.tokenizers.nets.vit_vqgan import ViTVQGAN
from seit_cl.tokenizers.nets.vqae import Block, VQAutoencoder
from seit_cl.tokenizers.training.codebook import CodebookAverages

Trainable = VQAutoencoder | ViTVQGAN
COMMITMENT = 0.25  # van den Oord et al., 2017
REPORT_EVERY = 50
SAVE_EVERY = 60.0  # seconds between two checkpoints
WARMUP = 0.02  # fraction of the training
CROP_SCALE = (0.4, 1.0)  # area of a random crop as a fraction of the image
FULL_SIZE = 0.15  # last part of the training, on crops as large as the images
WEIGHT_DECAY = 0.02
UNLABELLED = -100


@dataclass(frozen=True)
class TrainingSettings:
    """How a tokenizer is trained.

    Args:
        minutes: wall-clock time of training, over all its parts when it was interrupted.
        batch: images a step.
        crop: side in pixels of the random crops that it is trained on, until the last FULL_SIZE of the time.
        learning_rate: peak rate of AdamW; linear warm-up, cosine over the time.
        supervision: weight of the classification loss; 0 switches it off.
        seed: of the class head, batches, crops and restarts.
        precision: of the forward pass; codes are assigned in float32.
        start: identity of the tokenizer that levels are added to: encoder and first codebook stand still; "": a new one.
    """

    minutes: float
    batch: int = 64
    crop: int = 32
    learning_rate: float = 2e-3
    supervision: float = 1.0
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    start: str = ""


@dataclass(frozen=True)
class TrainingProgress:
    """What training reports: step, fraction of the time used, loss, PSNR in dB of the batch, codes alive over all levels,
    images trained on per second."""

    step: int
    fraction: float
    loss: float
    psnr: float
    codes_alive: int
    speed: float


class ClassHead(nn.Module):
    """Class logits (B, C) from quantised codes (B, D, H, W): a network deep enough that codes need not be classes.

    A shallow one asks every position for the class of the whole image, which serves the training classes alone.

    Args:
        dim: D.
        classes: C.
        source: how mirroring acts on the codes, a key of seit_cl.tokenizers.nets.mirror.ACTIONS.
        width: of its features.
    """

    def __init__(self, dim: int, classes: int, source: str = "code", width: int = 128) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ToPairs(source, dim, width, 3),
            nn.ReLU(),
            Block(width),
            ToPairs("pairs", width, 2 * width, 4, 2),
            nn.ReLU(),
            Block(2 * width),
        )
        self.classify = nn.Linear(width, classes)

    def pooled(self, codes: Tensor) -> Tensor:
        """Features (B, W) of codes (B, D, H, W), the same for mirror images."""
        first, second = self.features(codes).mean((2, 3)).chunk(2, 1)
        return first + second  # type: ignore[no-any-return]

    def forward(self, codes: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, C)."""
        logits: Tensor = self.classify(self.pooled(codes))
        return logits


def classification(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, C) over the samples that have a label; 0 where none has."""
    known = (labels != UNLABELLED).sum().clamp(min=1)
    losses = F.cross_entropy(
        logits.float(), labels, label_smoothing=0.1, ignore_index=UNLABELLED, reduction="sum"
    )
    return losses / known


class Trainer:
    """Trains an autoencoder on images that stay in memory, or on the GPU, as a whole; compiled there.

    Args:
        model: on its device.
        images: (N, 3, S, S) uint8.
        labels: (N,) int64 classes of the images, UNLABELLED for images that only reconstruction learns from.
        settings: see TrainingSettings.
    """

    def __init__(
        self, model: Trainable, images: Tensor, labels: Tensor, settings: TrainingSettings
    ) -> None:
        self.model, self.settings = model, settings
        self.device = model.codebook.device
        self.images, self.labels = images.to(self.device), labels.to(self.device)
        self.generator = torch.Generator().manual_seed(settings.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            source = "image" if model.signs is None else "code"
            head = ClassHead(model.codebook.shape[1], int(labels.max()) + 1, source)
        self.head = head.to(self.device).to(memory_format=torch.channels_last)
        rest = model.residuals if isinstance(model, VQAutoencoder) and model.levels > 1 else ()
        self.averages = [CodebookAverages(model.codebook, model.signs, self.generator)]
        self.averages += [
            CodebookAverages(book, model.signs, self.generator, unit=False) for book in rest
        ]
        if settings.start:
            model.encoder.requires_grad_(False).eval()
        parameters = [*model.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(
            parameters,
            lr=settings.learning_rate,
            weight_decay=WEIGHT_DECAY,
            betas=(0.9, 0.95),
            fused=True,
        )
        self.forward = torch.compile(self.losses) if self.device.type == "cuda" else self.losses
        self.step, self.seconds = 0, 0.0

    @property
    def fraction(self) -> float:
        """How much of the time is used."""
        return self.seconds / (60 * self.settings.minutes)

    def picks(self) -> Tensor:
        """Which images (B,) a batch is made of."""
        return torch.randint(len(self.images), (self.settings.batch,), generator=self.generator)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Random crops (B, 3, C, C) in [-1, 1] of images, resized, and labels (B,); C is settings.crop, or S at the end."""
        picks = self.picks()
        boxes = random_resized_boxes(len(picks), self.generator, CROP_SCALE).to(self.device)
        picks = picks.to(self.device)
        side = self.images.shape[-1] if self.fraction >= 1 - FULL_SIZE else self.settings.crop
        crops = crop_resize(self.images[picks].float(), boxes, side).clamp(0, 255) / 127.5 - 1
        return crops.contiguous(memory_format=torch.channels_last), self.labels[picks]

    def depths(self) -> tuple[Tensor, ...]:
        """How many levels (B, 1, 1, 1) each image of a batch is given back from, drawn evenly; nothing where there is one."""
        if self.model.levels == 1:
            return ()
        drawn = torch.randint(
            1, self.model.levels + 1, (self.settings.batch, 1, 1, 1), generator=self.generator
        )
        return (drawn.to(self.device),)

    def losses(
        self, images: Tensor, labels: Tensor, depths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Loss, mean squared error on the 0..1 scale, latents (B, D, H, W) of the first level and of all levels, and codes
        (B, L, H, W) of a batch."""
        with self.autocast():
            encoded = self.model.encoder(images)
        latents = self.model.project(encoded.float())
        with self.autocast():
            detailed = self.model.add_detail(images, latents)
        indices = self.model.quantise(latents.detach(), detailed.detach())
        codes, commitment = self.coded(latents, detailed, indices, depths)
        straight = self.through(
            latents if depths is None else torch.where(depths > 1, detailed, latents), codes
        )
        with self.autocast():
            restored = self.model.reconstruct(straight)
        restored = restored.float()
        loss = self.fidelity(restored, images, latents) + COMMITMENT * commitment
        if self.settings.supervision:
            first = (
                straight
                if depths is None
                else self.through(latents, self.model.embed(indices[:, 0]))
            )
            loss = loss + self.settings.supervision * self.signal(first, labels)
        return loss, (restored.detach() - images).square().mean() / 4, latents, detailed, indices

    def coded(
        self, latents: Tensor, detailed: Tensor, indices: Tensor, depths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Codes (B, D, H, W): sums over the first levels, as many as an image's depth (B, 1, 1, 1) says; and the squared
        distances of the latents to the sums over the first 1, 2, ... L levels, on average."""
        total = codes = self.model.embed(indices[:, 0])
        commitment = (latents - total).square().sum(1).mean()
        for level in range(1, self.model.levels):
            total = total + self.model.embed_level(indices[:, level], level)
            codes = total if depths is None else torch.where(depths > level, total, codes)
            commitment = commitment + (detailed - total).square().sum(1).mean()
        return codes, commitment / self.model.levels

    def autocast(self) -> torch.autocast:
        """The settings' precision, for what has weights."""
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"
        )

    def fidelity(self, restored: Tensor, images: Tensor, latents: Tensor) -> Tensor:
        """How far what came back (B, 3, C, C) is from the images that had these latents: in pixels and in 4 x 4 means."""
        coarse = (F.avg_pool2d(restored, 4) - F.avg_pool2d(images, 4)).square().mean()
        return (restored - images).square().mean() + coarse

    def through(self, latents: Tensor, codes: Tensor) -> Tensor:
        """The codes (B, D, H, W), with the latents' gradient (straight through: van den Oord et al., 2017)."""
        return latents + (codes - latents).detach()

    def signal(self, codes: Tensor, labels: Tensor) -> Tensor:
        """What quantised codes (B, D, H, W) are to tell besides the image: the classes (B,) where they are known."""
        with self.autocast():
            logits = self.head(codes)
        return classification(logits, labels)

    def advance(self) -> tuple[Tensor, Tensor]:
        """One step; gives its loss and mean squared error."""
        loss, error, latents, detailed, indices = self.forward(*self.batch(), *self.depths())
        self.descend(loss)
        self.follow(latents.detach(), detailed.detach(), indices)
        self.step += 1
        return loss.detach(), error

    def follow(self, latents: Tensor, detailed: Tensor, indices: Tensor) -> None:
        """Move each level's codebook toward what it coded: latents (B, D, H, W) of the first level, and of those of all
        levels what the levels before left; indices (B, L, H, W) are their codes."""
        coded, left = [latents], detailed
        for level in range(self.model.levels - 1):
            left = left - self.model.embed_level(indices[:, level], level)
            coded.append(left)
        for level, (book, target) in enumerate(zip(self.averages, coded, strict=True)):
            if level or not self.settings.start:
                book.update(target, indices[:, level], self.step)

    def descend(self, loss: Tensor) -> None:
        """Gradients of a loss, clipped, and the optimiser's step along them."""
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def run(
        self,
        report: Callable[[TrainingProgress], None] = lambda progress: None,
        checkpoint: Path | None = None,
    ) -> None:
        """Train until the time is used, from where the checkpoint left off.

        Args:
            report: called every REPORT_EVERY steps.
            checkpoint: file to save to about every minute and when interrupted.

        Raises:
            UserError: the checkpoint is another training's, or not readable.
        """
        if checkpoint is not None and checkpoint.exists():
            self.load(checkpoint)
        before, began = self.seconds, time.monotonic()
        first, saved = self.step, began
        try:
            while (fraction := self.fraction) < 1:
                self._set_rate(fraction)
                loss, error = self.advance()
                now = time.monotonic()
                self.seconds = before + now - began
                if (self.step - 1) % REPORT_EVERY == 0:
                    speed = (self.step - first) * self.settings.batch / max(now - began, 1e-9)
                    psnr = -10 * math.log10(float(error))
                    report(
                        TrainingProgress(
                            self.step - 1,
                            fraction,
                            float(loss),
                            psnr,
                            sum(book.alive for book in self.averages),
                            speed,
                        )
                    )
                if checkpoint is not None and now - saved > SAVE_EVERY:
                    self.save(checkpoint)
                    saved = now
        finally:
            if checkpoint is not None:
                self.save(checkpoint)

    def _set_rate(self, fraction: float) -> None:
        shape = min(1.0, (fraction + 1e-3) / WARMUP) * (
            0.02 + 0.98 * (1 + math.cos(math.pi * fraction)) / 2
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * shape

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "kind": "seit_cl tokenizer training",
            "settings": vars(self.settings),
            "config": self.model.config,
            "images": len(self.images),
            "model": self.model.state_dict(),
            "head": self.head.state_dict(),
            "sums": torch.stack([book.sums for book in self.averages]),
            "uses": torch.stack([book.uses for book in self.averages]),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def save(self, path: Path) -> None:
        """Write the state to a file, atomically."""
        buffer = io.BytesIO()
        torch.save(self.state(), buffer)
        write_atomic(path, buffer.getvalue())

    def load(self, path: Path) -> None:
        """Continue from a file.

        Raises:
            UserError: not readable, or of other settings, another model or other images.
        """
        try:
            state = torch.load(path, weights_only=True, map_location=self.device)
            same = all(
                state[name] == self.state()[name]
                for name in ("kind", "settings", "config", "images")
            )
        except Exception as error:
            raise UserError(
                f"{path}: not a readable checkpoint ({type(error).__name__}); delete it to start over"
            ) from error
        if not same:
            raise UserError(
                f"{path}: of a training with other options or images; use the same, or delete it to start over"
            )
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        for book, sums, uses in zip(self.averages, state["sums"], state["uses"], strict=True):
            book.sums, book.uses = sums, uses
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]
