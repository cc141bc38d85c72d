"""Two training loops to compare: the learner's, as in a run, and a bare timm loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from benchmarks.clock import Clock
from benchmarks.workload import Workload
from seit_cl.core.rng import Generators
from seit_cl.experiment.build import (
    build_model,
    build_recorder,
    build_strategy,
    compile_model,
    optimisation,
)
from seit_cl.learner.augment.draws import Draws
from seit_cl.learner.batches import BatchMaker, RawStep, StepBatches
from seit_cl.learner.learner import Learner
from seit_cl.learner.loaders import ReplayLoader

LONG = 10**6  # steps


@dataclass
class TimedBatchMaker(BatchMaker):
    """Batch maker whose time counts as the phases "draws" and "augmentation".

    Args:
        clock: adds up the time.
    """

    clock: Clock = field(kw_only=True)

    @staticmethod
    def like(maker: BatchMaker, clock: Clock) -> TimedBatchMaker:
        """Return a timed batch maker that shares the parts of another one."""
        parts = {part.name: getattr(maker, part.name) for part in fields(BatchMaker)}
        return TimedBatchMaker(**parts, clock=clock)

    def draws(self, shape: torch.Size, parts: Sequence[tuple[int, bool]]) -> Draws:
        """Draw the random numbers of a step."""
        with self.clock.phase("draws"):
            return super().draws(shape, parts)

    def prepare(self, step: RawStep) -> StepBatches:
        """Gather, augment and mix the samples of a step."""
        with self.clock.phase("augmentation"):
            return super().prepare(step)


class StepTimer(SupervisedPlugin):
    """Timer of a training step's phases, between Avalanche's hooks around them.

    Args:
        clock: adds up the time.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.started = 0.0

    def before_forward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Start the forward pass."""
        self.started = self.clock.start()

    def after_forward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """End the forward pass and start the loss."""
        self.clock.stop("forward", self.started)
        self.started = self.clock.start()

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """End the loss and start the backward pass."""
        self.clock.stop("loss", self.started)
        self.started = self.clock.start()

    def after_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """End the backward pass."""
        self.clock.stop("backward", self.started)

    def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Start clipping, optimiser and schedule."""
        self.started = self.clock.start()

    def after_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """End clipping, optimiser and schedule."""
        self.clock.stop("optimiser", self.started)


class LearnerTraining:
    """Training of the learner on the second of two experiences, with exemplars of the first.

    Args:
        work: data and options of the run.
        steps: optimiser steps of a call, rounded up to whole epochs.
    """

    def __init__(self, work: Workload, steps: int) -> None:
        config = work.config
        stream = work.stream()
        self.work = work
        self.classes_seen = stream.seen(1)
        self.memory = work.memory(stream.train[0])
        epoch_steps = min(steps, max(1, len(stream.train[1]) // config.batch))
        # Whole batches, unless the experience has fewer samples than one batch.
        self.ids = stream.train[1][: epoch_steps * config.batch]
        self.experience = stream.benchmark(work.data.dataset).train_stream[1]
        epochs = -(-steps // epoch_steps)
        self.steps = epochs * epoch_steps
        self.maker = work.batches()
        initialisation = Generators(config.seed)["initialisation"]
        strategy = build_strategy(config)
        self.learner = Learner(
            model=build_model(config, work.data, work.classes, initialisation),
            strategy=strategy,
            recorder=build_recorder(config, strategy),
            optimisation=optimisation(replace(config, epochs=epochs)),
            augment=self.maker.augment,
            grow_head=config.head != "fixed",
            device=work.device,
        )

    def loader(self) -> ReplayLoader:
        """Return the batches of an epoch, as a run makes them."""
        config = self.work.config
        return ReplayLoader(
            self.maker,
            self.work.data.tokens,
            self.ids,
            self.work.labels()[self.ids],
            config.batch,
            config.replay_batch,
            self.memory,
            preload=self.work.device.type != "cpu",
        )

    def __call__(self) -> None:
        """Train on the experience, or take as many steps of one that does not end.

        A run records a step once for hundreds of steps. So that few steps can be timed, all calls
        take recorded steps of one long experience.
        """
        if self.learner.recorded is None:
            self.learner.fit(self.experience, self.loader(), self.classes_seen)
            return
        loader = self._long_experience
        with self.learner.recorded.stream():
            for _ in range(self.steps // len(loader)):
                for step in loader:
                    self.learner.training_step(step)

    @cached_property
    def _long_experience(self) -> ReplayLoader:
        """The batches of an epoch of an experience that has begun."""
        loader = self.loader()
        learner = self.learner
        assert learner.recorded is not None
        learner.begin_experience(loader, self.classes_seen)
        learner.check_model_and_optimizer()
        learner.model.train()
        learner.recorded.begin(loader.batch, loader.replay_batch, steps=LONG)
        return loader

    def profile(self) -> dict[str, float]:
        """Measure the seconds of one call by phase, device work included."""
        clock = Clock(self.work.device)
        loader = replace(
            self.loader(),
            make=TimedBatchMaker.like(self.maker, clock),
            raw=clock.timing("fresh tokens", self.work.data.tokens),
        )
        timer = StepTimer(clock)
        self.learner.plugins.append(timer)
        with clock.total():
            self.learner.fit(self.experience, loader, self.classes_seen)
        self.learner.plugins.remove(timer)
        return clock.profile()


class BareTraining:
    """Training of the same model on one batch that is ready on the device.

    Args:
        training: the learner's training that it is compared with.
    """

    def __init__(self, training: LearnerTraining) -> None:
        work = training.work
        config = work.config
        self.device = work.device
        self.steps = training.steps
        self.bf16 = training.learner.optimisation.precision == "bf16"
        samples = config.batch + config.replay_batch
        ids = training.ids.repeat(-(-samples // len(training.ids)))[:samples]
        batches = work.batches()
        fresh = work.rows(ids)
        draws = batches.draws(fresh.inputs.shape[1:], [(len(fresh), False)])
        prepared = batches.prepare(RawStep(fresh, None, draws))
        self.inputs = prepared.inputs
        self.labels = prepared.labels
        initialisation = Generators(config.seed)["initialisation"]
        # Compiled in the way that is fastest for it: on CUDA with graphs of its own.
        plain = replace(config, compile=False)
        self.model = build_model(plain, work.data, work.classes, initialisation)
        if config.compile:
            compile_model(self.model, self.device)
        self.model.to(self.device).train()
        # The small rate keeps the loss on the repeated batch away from 0.
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-6, fused=True)

    def __call__(self) -> None:
        """Take as many steps as a call of the learner's training."""
        for _ in range(self.steps):
            self.backward(self.forward())
            self.optimiser.step()

    def forward(self) -> Tensor:
        """Compute logits and their cross-entropy."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.model(self.inputs)
        return torch.nn.functional.cross_entropy(logits.float(), self.labels)

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients."""
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]

    def profile(self) -> dict[str, float]:
        """Measure the seconds of one call by phase, device work included."""
        clock = Clock(self.device)
        with clock.total():
            for _ in range(self.steps):
                with clock.phase("forward"):
                    loss = self.forward()
                with clock.phase("backward"):
                    self.backward(loss)
                with clock.phase("optimiser"):
                    self.optimiser.step()
        return clock.profile()
