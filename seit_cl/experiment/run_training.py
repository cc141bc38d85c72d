"""Training on the experiences of a run: their steps, their number, and what is noted of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.scenario import Scenario
from seit_cl.experiment.compute import FlopsBudget, epoch_flops, training_flops
from seit_cl.experiment.epoch_losses import EpochLosses
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.record import RunRecord
from seit_cl.experiment.run_batches import RunBatches
from seit_cl.experiment.run_tests import RunTests
from seit_cl.learner.learner import Learner, StepResult
from seit_cl.learner.loaders import MemoryLoader, ReplayLoader
from seit_cl.learner.step_flops import LearnerFlops
from seit_cl.memory.buffer import ByteBudgetBuffer


class RunTraining:
    """Trains the learner on one experience after the other, and notes losses and time.

    Args:
        config: the run's options.
        name: of the run, for messages.
        stream: that the learner is trained on.
        learner: the model and its training step.
        batches: of all experiences.
        tests: take place between steps, with --eval-steps.
        record: of the run.
        budget: of FLOPs; None: --epochs says how many steps there are.
        flops: counts those of the learner's steps.
        note: called with a line for the run's log.
    """

    def __init__(
        self,
        config: RunConfig,
        name: str,
        stream: Scenario,
        learner: Learner,
        batches: RunBatches,
        tests: RunTests,
        record: RunRecord,
        budget: FlopsBudget | None,
        flops: LearnerFlops,
        note: Callable[[str], None],
    ) -> None:
        self.config = config
        self.name = name
        self.stream = stream
        self.learner = learner
        self.batches = batches
        self.tests = tests
        self.record = record
        self.budget = budget
        self.flops = flops
        self.note = note

    def train(
        self,
        experience: int,
        avalanche_experience: Any,
        memory: ByteBudgetBuffer | None,
        on_step: Callable[[StepInfo], None],
        on_fresh: Callable[[Tensor, Tensor], None] | None,
        began: float,
    ) -> None:
        """Train on an experience.

        Args:
            experience: its index.
            avalanche_experience: the same one of Avalanche's benchmark.
            memory: of the exemplars; None without.
            on_step: called after every step.
            on_fresh: called with the train set indices (B,) of the fresh samples of every step of
                the first epoch and their logits (B, classes seen); None where nobody asks for them.
            began: moment at which the experience began, of `time.monotonic`.

        Raises:
            UserError: the weights are no longer finite, or a budget of FLOPs allows no step.
        """
        classes_seen = self.stream.seen(experience)
        seen_before = self.stream.seen(experience - 1) if experience else 0
        samples = 0
        losses = EpochLosses()

        def report(result: StepResult) -> None:
            nonlocal samples
            samples += result.samples
            losses.add(result)
            self.tests.between_steps(experience, result.total_steps, self.learner)
            on_step(self._step_info(experience, result, samples, time.monotonic() - began))

        with self.record.timed("train"):
            loader = self.batches.loader(experience, memory)
            self.learner.begin_experience(loader, classes_seen, seen_before)
            self.learner.fit(
                avalanche_experience,
                loader,
                classes_seen,
                seen_before,
                on_step=report,
                on_fresh=on_fresh,
                steps=self._planned_steps(experience, loader, memory),
            )
            self._require_finite_weights(experience)
            self.record.add_losses(losses.rows(experience))
        self.record.phases["train"].images += samples

    def _step_info(
        self, experience: int, result: StepResult, samples: int, seconds: float
    ) -> StepInfo:
        return StepInfo(
            experience=experience,
            experiences=len(self.stream),
            epoch=result.epoch,
            epochs=self.learner.train_epochs,
            step=result.step,
            steps=result.steps,
            samples=samples,
            seconds=seconds,
            total_steps=result.total_steps,
            loss=result.loss,
            learning_rate=result.learning_rate,
            fresh_ids=result.fresh_ids,
        )

    def _planned_steps(
        self,
        experience: int,
        loader: ReplayLoader | MemoryLoader,
        memory: ByteBudgetBuffer | None,
    ) -> int | None:
        """Number of steps that --flops-budget allows in an experience; None without a budget.

        Hooks around the steps are foreseen to cost what they did around the last experience's, in
        proportion to the fresh samples.
        """
        budget = self.budget
        if budget is None:
            return None
        exemplars = 0 if memory is None else len(memory)
        if memory is not None and self.config.fill == "during":
            exemplars = max(exemplars, len(loader) * loader.batch)  # its first step brings some
        full, last = epoch_flops(self.flops, loader, exemplars)
        hooks = 0
        if experience:
            ratio = budget.samples[experience] / budget.samples[experience - 1]
            hooks = round(self.record.last_hooks * ratio)
        spent = training_flops(self.record.flops) + hooks
        steps = budget.steps(experience, spent, full, last, len(loader))
        if self.stream.boundaries:
            plan = f"experience {experience + 1}: {steps} steps of {full:.4g} FLOPs"
            self.note(f"--flops-budget {budget.flops:g}: {plan}")
        return steps

    def _require_finite_weights(self, experience: int) -> None:
        """Refuse to go on with a model that no longer computes anything.

        Raises:
            UserError: a weight is infinite or no number.
        """
        # The norm of all weights is not finite either; computing it takes an eighth of the time.
        norm = nn.utils.get_total_norm(self.learner.model.parameters())
        if not bool(torch.isfinite(norm)):
            raise UserError(
                f"{self.name}: training diverged in experience {experience + 1}; "
                f"lower --learning-rate {self.config.learning_rate:g}"
            )
