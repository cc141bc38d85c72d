"""The training of a masked learner: steps that can be interrupted and gone on with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from seit_cl.core.devices import to_device
from seit_cl.learner.optimizers import build_optimizer
from seit_cl.pretraining.base import MaskedKind
from seit_cl.pretraining.masking import MaskedViT, draw_masks
from seit_cl.pretraining.settings import MaskingSettings
from seit_cl.tokenizers.training.timed import Position, TimedTraining

MOMENTUM = 0.99  # of the running mean of the loss
LARGEST_GRADIENT = 1.0  # norm


class PretrainingProgress(NamedTuple):
    """Progress of a pre-training.

    Args:
        step: optimiser steps before the reported one.
        fraction: of the training.
        speed: images per second.
        loss: running mean.
    """

    step: int
    fraction: float
    speed: float
    loss: float


class MaskedTraining(TimedTraining):
    """Train a masked learner on some training samples, each once in a pass.

    Args:
        model: the masked learner, on the device of the training.
        kind: gives inputs, targets and loss.
        ids: (n,) int64, the training samples.
        settings: see MaskingSettings.
        precision: of the forward pass.
        seed: of batches, masks and augmentation.
        made_of: names data, network and tokenizer; a checkpoint goes on only with the same.
        device: of the training.
    """

    def __init__(
        self,
        model: MaskedViT,
        kind: MaskedKind,
        ids: Tensor,
        settings: MaskingSettings,
        precision: Literal["fp32", "bf16"],
        seed: int,
        made_of: dict[str, str | int | float],
        device: torch.device,
    ) -> None:
        super().__init__(settings.minutes, settings.steps, settings.batch, settings.learning_rate)
        self.model = model
        self.kind = kind
        self.ids = ids
        self.settings = {**asdict(settings), "precision": precision, "seed": seed}
        self.precision = precision
        self.made_of = made_of
        self.device = device
        self.order = torch.Generator().manual_seed(seed)
        self.numbers = torch.Generator(device).manual_seed(seed)
        self.waiting = torch.empty(0, dtype=torch.int64)  # samples of this pass that are to come
        patches = model.stem.num_patches
        self.masked = min(max(1, round(settings.mask * patches)), patches - 1)
        self.optimizer = build_optimizer(
            "adamw", model, settings.learning_rate, settings.weight_decay
        )
        self.mean_loss = torch.zeros((), device=device)

    @property
    def loss(self) -> float:
        """Running mean of the loss."""
        return float(self.mean_loss)

    @property
    def passes(self) -> float:
        """Times that each image has been seen."""
        return self.step * self.batch / len(self.ids)

    def train_step(self) -> tuple[Tensor, ...]:
        """Take one optimiser step and return the running mean of the loss."""
        raw = to_device(self.kind.raw(self.next_ids()), self.device)
        inputs, targets = self.kind.examples(raw, self.kind.draw(raw, self.numbers))
        masks = draw_masks(len(raw), self.model.stem.num_patches, self.masked, self.numbers)
        bf16 = self.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            predicted = self.model(inputs, masks)
        loss = self.kind.loss(predicted.float(), targets[masks])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        momentum = MOMENTUM if self.step else 0.0
        self.mean_loss.lerp_(loss.detach(), 1.0 - momentum)
        self.step += 1
        return (self.mean_loss,)

    def next_ids(self) -> Tensor:
        """The samples (B,) of the next step; a pass begins where the last one has ended."""
        while len(self.waiting) < self.batch:
            drawn = torch.randperm(len(self.ids), generator=self.order)
            self.waiting = torch.cat([self.waiting, self.ids[drawn]])
        now, self.waiting = self.waiting[: self.batch], self.waiting[self.batch :]
        return now

    def progress(self, position: Position, *values: Tensor) -> PretrainingProgress:
        """Progress after a step with a running mean of the loss."""
        return PretrainingProgress(*position, loss=float(values[0]))

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "kind": "seit_cl pre-training",
            "settings": self.settings,
            "config": self.made_of,
            "images": len(self.ids),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.order.get_state(),
            "numbers": self.numbers.get_state(),
            "waiting": self.waiting.clone(),
            "mean_loss": self.mean_loss,
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same settings and data."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])
        self.numbers.set_state(state["numbers"])
        self.waiting = state["waiting"]
        self.mean_loss.copy_(state["mean_loss"])
