"""Training batches on the learner's device: fresh samples, and exemplars from the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.devices import preload, to_device
from seit_cl.core.rng import Generators
from seit_cl.learner.augment.cutmix import cutmix
from seit_cl.learner.interfaces import Augment, Exemplars, Memory


@dataclass(frozen=True)
class Batch:
    """A training batch.

    Args:
        inputs: (B, D, h, w) float32 embeddings or normalised pixels, augmented.
        labels: (B,) int64.
        ids: (B,) int64, train set indices of fresh samples, memory positions of exemplars.
        targets: (B, C) soft targets where CutMix mixed the batch.
        extras: values stored by the strategy with each exemplar, (B, *shape) by name.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    targets: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)

    def forwarded(self, logits: Tensor, features: Tensor | None = None) -> ForwardedBatch:
        """The batch together with the model's outputs for it."""
        return ForwardedBatch(
            self.inputs,
            self.labels,
            self.ids,
            self.targets,
            self.extras,
            logits=logits,
            features=features,
        )


@dataclass(frozen=True, kw_only=True)
class ForwardedBatch(Batch):
    """A batch with the model's outputs; a strategy's loss is computed from it.

    Args:
        logits: (B, classes seen) float32.
        features: (B, width) float32 in front of the head; None unless the strategy uses features.
    """

    logits: Tensor
    features: Tensor | None = None


def joined_inputs(fresh: Batch, replay: Batch | None) -> tuple[Tensor, Tensor]:
    """Inputs (B, D, h, w) and labels (B,) of fresh samples and exemplars, for one forward pass."""
    batches = [fresh] if replay is None else [fresh, replay]
    inputs = torch.cat([batch.inputs for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    # Channels last: the stem's convolution runs twice as fast in bf16 on a CPU, and on CUDA it
    # needs no copy.
    return inputs.contiguous(memory_format=torch.channels_last), labels


def split_outputs(
    fresh: Batch, replay: Batch | None, logits: Tensor, features: Tensor | None
) -> tuple[ForwardedBatch, ForwardedBatch | None]:
    """Attach a joint forward pass's outputs to the two batches that went into it.

    Args:
        fresh: fresh samples, the first rows of the outputs.
        replay: exemplars, the other rows; None without.
        logits: (B, classes seen) of both.
        features: (B, width) of both, or None.
    """
    count = len(fresh.labels)
    fresh_features = None if features is None else features[:count]
    fresh_outputs = fresh.forwarded(logits[:count], fresh_features)
    if replay is None:
        return fresh_outputs, None
    replay_features = None if features is None else features[count:]
    return fresh_outputs, replay.forwarded(logits[count:], replay_features)


def draw_uniformly(
    fresh: Batch, memory: Memory, count: int, generator: torch.Generator
) -> Exemplars:
    """Draw a step's exemplars uniformly; its fresh samples have no influence."""
    return memory.sample(count, generator)


@dataclass
class BatchMaker:
    """Maker of training batches from raw data: augmentation, then CutMix.

    Args:
        augment: from raw data to inputs.
        classes: number of classes C.
        cutmix_p: probability that a batch is mixed; 0 for strategies that need unmixed batches.
        cutmix_alpha: of the Beta distribution.
        device: of the batches.
        generators: the run's.
    """

    augment: Augment
    classes: int
    cutmix_p: float
    cutmix_alpha: float
    device: torch.device
    generators: Generators

    def __call__(self, raw: Tensor, labels: Tensor, ids: Tensor, replay: bool = False) -> Batch:
        """Make a training batch on the device.

        Args:
            raw: (B, ...) on the device or the CPU, like the labels and ids.
            labels: (B,) int64.
            ids: (B,) int64.
            replay: draw from the generators for exemplars instead of those for fresh samples.
        """
        purpose = "replay " if replay else ""
        labels = to_device(labels, self.device)
        augmentation = self.generators[f"{purpose}augmentation"]
        inputs = self.augment(to_device(raw, self.device), augmentation, train=True)
        ids = to_device(ids, self.device)
        if not self._mixes(purpose):
            return Batch(inputs, labels, ids)
        boxes = self.generators[f"{purpose}mixing boxes"]
        inputs, targets = cutmix(inputs, labels, self.classes, self.cutmix_alpha, boxes)
        return Batch(inputs, labels, ids, targets)

    def of(self, exemplars: Exemplars) -> Batch:
        """Make a training batch of exemplars, on the device."""
        batch = self(exemplars.inputs, exemplars.labels, exemplars.ids, replay=True)
        extras = {name: to_device(value, self.device) for name, value in exemplars.extras.items()}
        return replace(batch, extras=extras)

    def _mixes(self, purpose: str) -> bool:
        """Decide at random whether this batch is mixed, on the CPU to avoid a device sync."""
        return float(torch.rand((), generator=self.generators[f"{purpose}mixing"])) < self.cutmix_p


@dataclass
class ReplayLoader:
    """One epoch: a pass over the experience's fresh samples, each step with exemplars.

    Steps follow the fresh data: more exemplars never mean more steps. On a GPU with enough memory
    the experience's fresh samples are copied there once. The order is drawn on the CPU, the same
    for every device.

    Args:
        make: the batch maker.
        raw: gives raw fresh data of train set indices (n,), on the CPU.
        ids: (n,) train set indices of the experience.
        labels: (n,) their labels.
        batch: fresh samples per step.
        replay_batch: exemplars per step.
        memory: the replay memory, or None.
        choose: chooses a step's exemplars: the strategy's before_sampling.
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
        ids, labels, samples = self._on_device
        parts = order.split(self.batch)
        device_parts = to_device(order, ids.device).split(self.batch)
        for part, device_part in zip(parts, device_parts, strict=True):
            raw = self.raw(self.ids[part]) if samples is None else samples[device_part]
            fresh = self.make(raw, labels[device_part], ids[device_part])
            yield fresh, self._replay(fresh)

    @cached_property
    def _on_device(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Ids (n,), labels (n,) and, if preloaded, samples (n, ...) on the device."""
        device = self.make.device
        samples = None if device.type == "cpu" else preload(self.raw, self.ids, device)
        return to_device(self.ids, device), to_device(self.labels, device), samples

    def _replay(self, fresh: Batch) -> Batch | None:
        if self.memory is None or len(self.memory) == 0 or self.replay_batch == 0:
            return None
        generator = self.make.generators["replay"]
        return self.make.of(self.choose(fresh, self.memory, self.replay_batch, generator))


@dataclass
class MemoryLoader:
    """One epoch of training on exemplars alone, with the steps that the fresh samples would take.

    Args:
        make: the batch maker.
        memory: the replay memory that every batch is drawn from.
        batch: exemplars per step that take the place of fresh samples.
        replay_batch: further exemplars per step.
        samples: number of fresh samples that the steps follow.
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
            first = self._draw(self.batch)
            second = self._draw(self.replay_batch) if self.replay_batch else None
            yield first, second

    def _draw(self, count: int) -> Batch:
        return self.make.of(self.memory.sample(count, self.make.generators["replay"]))


@dataclass
class PluginLoader:
    """Batches from the loader of an Avalanche plugin, for as many steps as the fresh data take.

    Args:
        loader: gives at least that many mini-batches of raw data, labels and more.
        make: the batch maker.
        steps: number of steps of an epoch.
    """

    loader: Iterable[Any]
    make: BatchMaker
    steps: int

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Batch, None]]:
        for raw, labels, *_ in islice(iter(self.loader), self.steps):
            unknown_ids = torch.full_like(labels, -1)
            yield self.make(raw, labels, unknown_ids), None
