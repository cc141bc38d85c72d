"""Batches on the learner's device: fresh samples in the fresh order, exemplars beside them, augmented and mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.devices import preload, to_device
from seit_cl.core.rng import Generators
from seit_cl.learner.augment.cutmix import cutmix
from seit_cl.learner.interfaces import Augment, Exemplars, Memory


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
        features: what the head saw, (B, width), for strategies that use features.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    targets: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    features: Tensor = field(default_factory=lambda: torch.empty(0))


def draw_uniformly(
    fresh: Batch, memory: Memory, count: int, generator: torch.Generator
) -> Exemplars:
    """The exemplars that a step replays, whatever its fresh samples are."""
    return memory.sample(count, generator)


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
        labels = to_device(labels, self.device)
        inputs = self.augment(
            to_device(raw, self.device), self.generators[f"{purpose}augmentation"], train=True
        )
        batch = Batch(inputs, labels, to_device(ids, self.device))
        if self._mixes(purpose):
            boxes = self.generators[f"{purpose}mixing boxes"]
            batch.inputs, batch.targets = cutmix(
                inputs, labels, self.classes, self.cutmix_alpha, boxes
            )
        return batch

    def of(self, exemplars: Exemplars) -> Batch:
        """A training batch of exemplars, on the device."""
        batch = self(exemplars.inputs, exemplars.labels, exemplars.ids, replay=True)
        batch.extras = {
            name: to_device(values, self.device) for name, values in exemplars.extras.items()
        }
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
        choose: the strategy's before_sampling: gives the exemplars that a step replays.
    """

    make: BatchMaker
    raw: Callable[[Tensor], Tensor]
    ids: Tensor
    labels: Tensor
    batch: int
    replay_batch: int
    memory: Memory | None
    choose: Callable[[Batch, Memory, int, torch.Generator], Exemplars] = draw_uniformly

    def __len__(self) -> int:
        return -(-len(self.ids) // self.batch)

    def __iter__(self) -> Iterator[tuple[Batch, Batch | None]]:
        order = torch.randperm(len(self.ids), generator=self.make.generators["fresh order"])
        ids, labels, samples = self._settled
        for part, there in zip(
            order.split(self.batch), to_device(order, ids.device).split(self.batch), strict=True
        ):
            raw = self.raw(self.ids[part]) if samples is None else samples[there]
            fresh = self.make(raw, labels[there], ids[there])
            yield fresh, self._replay(fresh)

    @cached_property
    def _settled(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Ids (n,), labels (n,) and samples (n, ...) on the device; no samples on a CPU, where they lie already, and on
        a GPU without room for them."""
        device = self.make.device
        samples = None if device.type == "cpu" else preload(self.raw, self.ids, device)
        return to_device(self.ids, device), to_device(self.labels, device), samples

    def _replay(self, fresh: Batch) -> Batch | None:
        if self.memory is None or len(self.memory) == 0 or self.replay_batch == 0:
            return None
        return self.make.of(
            self.choose(fresh, self.memory, self.replay_batch, self.make.generators["replay"])
        )


@dataclass
class MemoryLoader:
    """One epoch of training on exemplars alone: as many steps as `samples` fresh samples would take, and batches as large.

    Args:
        make: the batch maker.
        memory: where every batch is drawn from.
        batch: exemplars in the place of fresh samples, a step.
        replay_batch: exemplars beside them.
        samples: that the steps follow.
    """

    make: BatchMaker
    memory: Memory
    batch: int
    replay_batch: int
    samples: int

    def __len__(self) -> int:
        return -(-self.samples // self.batch)

    def __iter__(self) -> Iterator[tuple[Batch, Batch | None]]:
        for _ in range(len(self)):
            yield (
                self._draw(self.batch),
                self._draw(self.replay_batch) if self.replay_batch else None,
            )

    def _draw(self, count: int) -> Batch:
        return self.make.of(self.memory.sample(count, self.make.generators["replay"]))


class FirstSteps:
    """The first steps of every epoch of another loader: steps follow the fresh data, however much a plugin replays.

    Args:
        loader: gives at least so many.
        steps: how many.
    """

    def __init__(self, loader: Iterable[Any], steps: int) -> None:
        self.loader, self.steps = loader, steps

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.loader), self.steps)
