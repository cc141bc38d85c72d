"""Loaders of an epoch's steps: samples before their augmentation, with their random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.devices import preload, to_device
from seit_cl.learner.augment.draws import Draws
from seit_cl.learner.batches import Batch, BatchMaker, RawStep, Rows
from seit_cl.learner.interfaces import Exemplars, Memory
from seit_cl.memory import exemplars

ChooseExemplars = Callable[[Batch, Memory, int, torch.Generator], Exemplars]


@dataclass
class ReplayLoader:
    """One epoch: a pass over the experience's fresh samples, each step with exemplars.

    Steps follow the fresh data: more exemplars never mean more steps. The order is drawn on the
    CPU, the same for every device.

    Args:
        make: the batch maker.
        raw: gives raw fresh data of train set indices (n,), on the CPU.
        ids: (n,) train set indices of the experience.
        labels: (n,) their labels.
        batch: fresh samples per step.
        replay_batch: exemplars per step.
        memory: the replay memory, or None.
        choose: chooses a step's exemplars, the strategy's before_sampling; None draws them
            uniformly.
        preload: copy the experience's fresh samples to the device once, where they fit.
    """

    make: BatchMaker
    raw: Callable[[Tensor], Tensor]
    ids: Tensor
    labels: Tensor
    batch: int
    replay_batch: int
    memory: Memory | None
    choose: ChooseExemplars | None = None
    preload: bool = False

    def __len__(self) -> int:
        return -(-len(self.ids) // self.batch)

    @property
    def last_batch(self) -> int:
        """Fresh samples of the last step."""
        return len(self.ids) - (len(self) - 1) * self.batch

    def __iter__(self) -> Iterator[RawStep]:
        order = torch.randperm(len(self.ids), generator=self.make.generators["fresh order"])
        whole = self._on_device
        parts = order.split(self.batch)
        device_parts = to_device(order, self.make.device).split(self.batch)
        for part, rows in zip(parts, device_parts, strict=True):
            fresh = Rows(self._fetch(part)) if whole is None else Rows(whole, rows)
            yield self._step(fresh, self.ids[part])

    @cached_property
    def _on_device(self) -> Exemplars | None:
        """All fresh samples on the device; None unless they are preloaded and fit."""
        device = self.make.device
        samples = preload(self.raw, self.ids, device) if self.preload else None
        if samples is None:
            return None
        return exemplars.Exemplars(
            samples, to_device(self.labels, device), to_device(self.ids, device), {}
        )

    def _fetch(self, positions: Tensor) -> Exemplars:
        """The fresh samples at positions (B,) of the experience, copied to the device."""
        samples = exemplars.Exemplars(
            self.raw(self.ids[positions]), self.labels[positions], self.ids[positions], {}
        )
        return samples.to(self.make.device)

    def _step(self, fresh: Rows, ids: Tensor) -> RawStep:
        shape = fresh.source.inputs.shape[1:]
        replay_count = self.replay_batch if self.memory is not None and len(self.memory) else 0
        if replay_count == 0:
            return RawStep(fresh, None, self.make.draws(shape, [(len(fresh), False)]), ids)
        draws = self.make.draws(shape, [(len(fresh), False), (replay_count, True)])
        return RawStep(fresh, self._replay(fresh, draws), draws, ids)

    def _replay(self, fresh: Rows, draws: Draws) -> Rows:
        assert self.memory is not None
        generator = self.make.generators["replay"]
        if self.choose is None:
            return Rows(*self.memory.select(self.replay_batch, generator))
        alone = self.make.prepare(RawStep(fresh, None, draws.first(len(fresh))))
        return Rows(self.choose(alone.fresh, self.memory, self.replay_batch, generator))


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

    @property
    def last_batch(self) -> int:
        """Exemplars of the last step that take the place of fresh samples: those of every step."""
        return self.batch

    def __iter__(self) -> Iterator[RawStep]:
        for _ in range(len(self)):
            first = self._draw(self.batch)
            second = None
            parts = [(self.batch, True)]
            if self.replay_batch:
                second = self._draw(self.replay_batch)
                parts.append((self.replay_batch, True))
            yield RawStep(first, second, self.make.draws(first.source.inputs.shape[1:], parts))

    def _draw(self, count: int) -> Rows:
        return Rows(*self.memory.select(count, self.make.generators["replay"]))


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

    def __iter__(self) -> Iterator[RawStep]:
        for raw, labels, *_ in islice(iter(self.loader), self.steps):
            unknown_ids = torch.full_like(labels, -1)
            samples = exemplars.Exemplars(raw, labels, unknown_ids, {}).to(self.make.device)
            yield RawStep(Rows(samples), None, self.make.draws(raw.shape[1:], [(len(raw), False)]))
