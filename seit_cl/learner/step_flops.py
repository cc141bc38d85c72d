"""FLOPs of a learner's steps and tests, counted on copies with samples of zeros.

A step of each kind is taken once on a copy of the model, with random numbers of its own, so that
nothing of the run changes: neither its numbers, nor what it compiles or records as a CUDA graph.
FLOPs depend on the shapes of the samples alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from seit_cl.core.flops import FlopMeter, flop_counter
from seit_cl.core.rng import Generators
from seit_cl.learner.batches import RawStep
from seit_cl.learner.learner import Learner
from seit_cl.learner.loaders import MemoryLoader, ReplayLoader
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import copy_built
from seit_cl.memory import TensorSpec
from seit_cl.memory.exemplars import Exemplars

TESTED = 2  # samples of the forward pass that a test's FLOPs are computed from
COUNTED = 4  # samples, at least, of the step that a larger one's FLOPs are computed from


class StepFlops(NamedTuple):
    """FLOPs of a training step.

    Args:
        training: of the augmentation and of the forward and backward pass.
        strategy: of what the strategy adds, such as passes of a teacher or of a virtual step.
    """

    training: int
    strategy: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.training + self.strategy


class LearnerFlops:
    """FLOPs of a learner's steps and tests.

    Args:
        learner: its model is copied.
        meter: gets the FLOPs.
        example: (1, ...), raw data of a sample.
    """

    def __init__(self, learner: Learner, meter: FlopMeter, example: Tensor) -> None:
        self.learner = learner
        self.meter = meter
        self.example = example
        self._steps: dict[Hashable, StepFlops] = {}
        self._tests: dict[Hashable, int] = {}
        self._experience: tuple[int, tuple[int, int]] | None = None  # index and shape
        self._enough: dict[Hashable, int] = {}  # exemplars from which on more make no difference

    def add(self, kind: str, flops: int) -> None:
        """Add FLOPs to a kind."""
        self.meter.add(kind, flops)

    @contextmanager
    def counting(self, kind: str, key: Hashable = None, samples: int = 0) -> Iterator[None]:
        """Add the FLOPs of the block to a kind (`FlopMeter.counting`)."""
        if key is not None:
            key = (self.learner.classes_seen, key)
        with self.meter.counting(kind, key, samples):
            yield

    def counting_part(self, own: int, samples: int) -> AbstractContextManager[None]:
        """Count the block's FLOPs as those of more samples (`FlopMeter.counting_part`)."""
        return self.meter.counting_part(own, samples)

    @contextmanager
    def counting_step(self, step: RawStep) -> Iterator[None]:
        """Add the FLOPs of a training step, which the block takes.

        What Avalanche's plugins compute is counted in the first real step of each kind, except in
        a compiled model, which would be run without its compiled kernels.
        """
        learner = self.learner
        fresh = len(step.fresh)
        replay = 0 if step.replay is None else len(step.replay)
        flops = self.step(fresh, replay, 0 if learner.memory is None else len(learner.memory))
        if learner.strategy.avalanche_plugins and learner.model._compiled_call_impl is None:
            key = ("plugins", self._experience, fresh, replay)
            with self.meter.counting("strategy", key, 1):
                yield
                self.meter.add("training", flops.training)
            return
        yield
        self.meter.add("training", flops.training)
        self.meter.add("strategy", flops.strategy)

    def add_test(self, samples: int) -> None:
        """Add the FLOPs of a test of that many samples."""
        key = self._shape()
        if key not in self._tests:
            self._tests[key] = self._count_test()
        self.meter.add("testing", self._tests[key] * samples // TESTED)

    def step(self, fresh: int, replay: int, exemplars: int) -> StepFlops:
        """The FLOPs of a training step in the present experience.

        Args:
            fresh: its fresh samples.
            replay: its exemplars.
            exemplars: number of exemplars in the memory, which a strategy that chooses among them
                may look at.
        """
        looks = replay > 0 and getattr(self.learner.loader, "choose", None) is not None
        finished = self.learner.experiences_finished
        if self._experience is None or self._experience[0] != finished:
            self._experience = finished, self._shape()
        shape = self._experience[1]
        exemplars = min(exemplars, self._enough.get(shape, exemplars))
        key = (shape, fresh, replay, exemplars if looks else 0)
        if key not in self._steps:
            memory = self._stand_in_memory(exemplars)
            if looks or not self.learner.strategy.proportional_flops:
                self._steps[key] = self._count_step(fresh, replay, memory)
            else:
                self._steps[key] = self._count_part(fresh, replay, memory)
            if looks and memory.drawn < exemplars:
                self._enough[shape] = memory.drawn + 1
        return self._steps[key]

    def _shape(self) -> tuple[int, int]:
        """Classes and strategy bytes, which FLOPs may depend on besides numbers of samples."""
        return self.learner.classes_seen, self.learner.strategy.strategy_bytes

    def _samples(self, count: int) -> Tensor:
        """Raw data of zeros (B, ...)."""
        return self.example.new_zeros(count, *self.example.shape[1:])

    def _stand_in_memory(self, exemplars: int) -> _StandInMemory:
        make = self.learner.loader.make
        fields = self.learner.strategy.exemplar_fields(make.classes)
        return _StandInMemory(exemplars, self._samples, fields, make.device)

    def _count_part(self, fresh: int, replay: int, memory: _StandInMemory) -> StepFlops:
        """Count a step with the same share of exemplars and few samples, and multiply."""
        parts = math.gcd(fresh, replay)
        of_part = (fresh + replay) // parts
        counted = min(parts, math.ceil(COUNTED / of_part))
        flops = self._count_step(fresh // parts * counted, replay // parts * counted, memory)
        return StepFlops(*(value * parts // counted for value in flops))

    def _count_step(self, fresh: int, replay: int, memory: _StandInMemory) -> StepFlops:
        """Take a step on a copy of the model, and count its FLOPs."""
        learner = copy.copy(self.learner)
        # A deep copy is never a compiled model.
        learner.model = copy.deepcopy(self.learner.model)
        learner.optimizer = torch.optim.SGD(learner.model.parameters(), lr=0.0)
        learner.plugins = []
        learner.recorded = None
        devices = [learner.device] if learner.device.type == "cuda" else []
        ranks = learner.ranks
        with torch.random.fork_rng(devices), ranks.alone(), flop_counter() as counter:
            parts = _StrategyParts(counter)
            learner.strategy = parts.counted(self.learner.strategy)
            learner.loader = self._stand_in_loader(learner, fresh, replay, memory)
            step = next(iter(learner.loader))
            choosing = counter.get_total_flops()
            in_choosing = parts.flops
            learner.take_step(step)
            total = counter.get_total_flops()
        strategy = choosing + parts.flops - in_choosing
        return StepFlops(total - strategy, strategy)

    def _stand_in_loader(
        self, learner: Learner, fresh: int, replay: int, memory: _StandInMemory
    ) -> ReplayLoader | MemoryLoader:
        """A loader of one step of zeros."""
        loader: Any = self.learner.loader
        make = replace(loader.make, generators=Generators(0, loader.make.device), compiled_for=None)
        if isinstance(loader, MemoryLoader):
            return MemoryLoader(make, memory, fresh, replay, fresh)
        choose = None
        if loader.choose is not None:
            choose = partial(learner.strategy.before_sampling, learner=learner)
        return ReplayLoader(
            make,
            lambda ids: self._samples(len(ids)),
            torch.arange(fresh),
            torch.zeros(fresh, dtype=torch.int64),
            fresh,
            replay,
            memory if replay else None,
            choose,
        )

    def _count_test(self) -> int:
        """Count the FLOPs of scoring TESTED samples."""
        with self.learner.ranks.alone(), flop_counter() as counter:
            self.learner.raw_scores(self._samples(TESTED))
        return int(counter.get_total_flops())


class _StrategyParts:
    """The FLOPs of a strategy's hooks within a step.

    Args:
        counter: counts the whole step.
    """

    def __init__(self, counter: FlopCounterMode) -> None:
        self.counter = counter
        self.flops = 0

    def counted(self, strategy: Strategy) -> Strategy:
        """A copy of a strategy, with the same state, whose hooks are counted.

        Modules and optimisers, which its hooks may train, are copied.
        """
        inner = copy.copy(strategy)
        state = {name: getattr(strategy, name) for name in strategy.state_attributes}
        for name, value in copy_built(state).items():
            setattr(inner, name, value)
        counted: Any = copy.copy(inner)
        for name in ("loss", "after_backward"):
            setattr(counted, name, self._hook(getattr(inner, name)))
        return counted

    def _hook(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            before = self.counter.get_total_flops()
            result = hook(*arguments)
            self.flops += self.counter.get_total_flops() - before
            return result

        return counted


class _StandInMemory:
    """A memory of exemplars of zeros.

    Args:
        count: number of exemplars.
        samples: makes raw data of zeros (B, ...).
        fields: values that the strategy stores with each exemplar, by name.
        device: of the exemplars.

    Attributes:
        drawn: the most exemplars drawn at once.
    """

    def __init__(
        self,
        count: int,
        samples: Callable[[int], Tensor],
        fields: Mapping[str, TensorSpec],
        device: torch.device,
    ) -> None:
        self.count = count
        self.drawn = 0
        self._samples = samples
        self._fields = fields
        self._device = device

    def __len__(self) -> int:
        return self.count

    def select(self, n: int, generator: torch.Generator) -> tuple[Exemplars, Tensor | None]:
        """All exemplars drawn, and None."""
        return self.sample(n, generator), None

    def sample(self, n: int, generator: torch.Generator) -> Exemplars:
        """Exemplars of zeros."""
        return self.by_ids(torch.zeros(n, dtype=torch.int64))

    def by_ids(self, ids: Tensor) -> Exemplars:
        """Exemplars of zeros for ids (B,)."""
        self.drawn = max(self.drawn, len(ids))
        extras = {}
        for name, spec in self._fields.items():
            extras[name] = torch.from_numpy(np.zeros((len(ids), *spec.shape), spec.numpy))
        labels = torch.zeros(len(ids), dtype=torch.int64)
        return Exemplars(self._samples(len(ids)), labels, ids, extras).to(self._device)
