"""Batches on the learner's device: fresh samples in the fresh order, exemplars beside them, augmented and mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from seit_cl.devices import send, settle
from seit_cl.generators import Generators
from seit_cl.learner.cutmix import cutmix


class Augment(Protocol):
    """Raw tokens (B, G, H, W) or pixels (B, 3, S, S) -> inputs (B, D, h, w) float32, on the same device."""

    def __call__(self, raw: Tensor, generator: torch.Generator | None, train: bool = True) -> Tensor:
        """Augmented inputs when training, the plain centre crop otherwise."""


@dataclass
class Batch:
    """What the learner trains on.

    Args:
        inputs: (B, D, h, w) float32 embeddings or normalised pixels, augmented.
        labels: (B,) int64.
        ids: (B,) int64, train set indices of fresh samples, memory numbers of exemplars.
        targets: (B, C) soft targets where CutMix mixed the batch.
        extras: what the strategy stored with the exemplars.
        logits: (B, seen) of the learner, filled before the strategy's loss.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    targets: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)
    logits: Tensor = field(default_factory=lambda: torch.empty(0))


class Memory(Protocol):
    """What batches need of a memory (seit_cl.memory.buffer.ByteBudgetBuffer)."""

    def __len__(self) -> int: ...

    def sample(self, n: int, generator: torch.Generator) -> object:
        """An Exemplars of n exemplars."""


@dataclass
class BatchMaker:
    """Makes batches from raw data; knows augmentation and CutMix.

    Args:
        augment: from raw data to inputs.
        classes: number of classes C.
        cutmix_p: probability that a batch is mixed; 0 for strategies that need hard labels.
        cutmix_alpha: of the Beta distribution.
        device: where batches live.
        generators: the run's.
    """

    augment: Augment
    classes: int
    cutmix_p: float
    cutmix_alpha: float
    device: torch.device
    generators: Generators

    def __call__(self, raw: Tensor, labels: Tensor, ids: Tensor, replay: bool = False) -> Batch:
        """A training batch, on the device, from raw data (B, ...), labels (B,) and ids (B,) on the device or the CPU;
        `replay` chooses generators."""
        purpose = "replay " if replay else ""
        labels = send(labels, self.device)
        inputs = self.augment(send(raw, self.device), self.generators[f"{purpose}augmentation"], train=True)
        batch = Batch(inputs, labels, send(ids, self.device))
        if self._mixes(purpose):
            boxes = self.generators[f"{purpose}mixing boxes"]
            batch.inputs, batch.targets = cutmix(inputs, labels, self.classes, self.cutmix_alpha, boxes)
        return batch

    def _mixes(self, purpose: str) -> bool:
        """Whether this batch is mixed; drawn on the CPU, which nothing waits for."""
        return float(torch.rand((), generator=self.generators[f"{purpose}mixing"])) < self.cutmix_p


@dataclass
class ReplayLoader:
    """One epoch: a pass over the experience's fresh samples, each step with exemplars beside them.

    Steps follow the fresh data: more exemplars never mean more steps. On a GPU the fresh samples of the experience are
    sent once and drawn there, where it has room for them; the CPU draws the order, the same for every device.

    Args:
        make: the batch maker.
        raw: gives the raw fresh data of train set indices (n,), on the CPU.
        ids: (n,) train set indices of the experience.
        labels: (n,) their labels.
        batch: fresh samples a step.
        replay_batch: exemplars a step.
        memory: the memory, or None.
    """

    make: BatchMaker
    raw: Callable[[Tensor], Tensor]
    ids: Tensor
    labels: Tensor
    batch: int
    replay_batch: int
    memory: Memory | None

    def __len__(self) -> int:
        return -(-len(self.ids) // self.batch)

    def __iter__(self) -> Iterator[tuple[Batch, Batch | None]]:
        order = torch.randperm(len(self.ids), generator=self.make.generators["fresh order"])
        ids, labels, samples = self._settled
        for part, there in zip(order.split(self.batch), send(order, ids.device).split(self.batch), strict=True):
            raw = self.raw(self.ids[part]) if samples is None else samples[there]
            yield self.make(raw, labels[there], ids[there]), self._replay()

    @cached_property
    def _settled(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Ids (n,), labels (n,) and samples (n, ...) on the device; no samples on a CPU, where they lie already, and on
        a GPU without room for them."""
        device = self.make.device
        samples = None if device.type == "cpu" else settle(self.raw, self.ids, device)
        return send(self.ids, device), send(self.labels, device), samples

    def _replay(self) -> Batch | None:
        if self.memory is None or len(self.memory) == 0 or self.replay_batch == 0:
            return None
        drawn = self.memory.sample(self.replay_batch, self.make.generators["replay"])
        batch = self.make(drawn.inputs, drawn.labels, drawn.ids, replay=True)  # type: ignore[attr-defined]
        batch.extras = {k: send(v, self.make.device) for k, v in drawn.extras.items()}  # type: ignore[attr-defined]
        return batch
