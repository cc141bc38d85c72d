"""The learner: an Avalanche strategy with one visible training step (`Learner.training_step`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn

from seit_cl.core.errors import UserError
from seit_cl.core.precision import float32_products
from seit_cl.core.ranks import Ranks
from seit_cl.learner.avalanche_plugins import RawExperience
from seit_cl.learner.batches import ForwardedBatch, RawStep
from seit_cl.learner.forward import float_features, float_logits
from seit_cl.learner.inference import RawInference
from seit_cl.learner.interfaces import Augment, FlopCounts, Memory
from seit_cl.learner.loaders import MemoryLoader, PluginLoader, ReplayLoader
from seit_cl.learner.modes import set_training
from seit_cl.learner.optim import Schedule, capturable, optimizer_of, schedule_of
from seit_cl.learner.recording import RecordedSteps, Recorder
from seit_cl.learner.settings import Optimisation
from seit_cl.learner.strategy import Strategy

OnFresh = Callable[[Tensor, Tensor], None]
LONE_VALUE = "more than 1 value per channel"  # in torch's error


@dataclass(frozen=True)
class StepResult:
    """Outcome of one training step.

    Args:
        epoch: of the experience, from 0.
        step: of the epoch, from 1.
        steps: number of steps of an epoch.
        total_steps: steps since the first experience began, this one included.
        samples: number of samples in its forward pass.
        fresh_ids: (B,) train set indices of its fresh samples, on the device.
        loss: (1,), detached, on the device; reading it waits for the device.
        learning_rate: of the next step.
    """

    epoch: int
    step: int
    steps: int
    total_steps: int
    samples: int
    fresh_ids: Tensor
    loss: Tensor
    learning_rate: float


class Learner(RawInference, SupervisedTemplate):
    """A model and its training under a strategy, with Avalanche's loop, hooks and plugins.

    Args:
        model: a `seit_cl.models.Network`.
        strategy: its loss and hooks.
        optimisation: settings of the optimiser.
        augment: from raw data to the model's inputs; used for tests and by strategies, since
            training batches arrive augmented.
        grow_head: restrict the logits to the classes seen; False for a fixed head.
        device: of model and batches.
        one_optimiser: use one optimiser for the whole stream, with a constant rate after the first
            experience's warm-up, instead of a new one with a schedule for every experience. For
            streams without known boundaries between experiences.
        new_model: makes a model like the first one with other weights, on the CPU, for strategies
            that start over.
        recorder: records training steps and tests, where the strategy is capturable and has no
            plugins; None runs all of them as they are.
        test_precision: of matrix products in tests on CUDA, "fp32" or "tf32".
        note: called with lines for the run's log.
        competitors: (C, C) bool, for every label the classes that compete with it in training
            (`Scenario.competitors`), for a head of a part for each experience; None: all seen.
        ranks: processes that divide the passes through the model; None: this one alone.

    Attributes:
        recorded: its recorded training steps; None where steps are not recorded.
        flops: counts the FLOPs of its work; None to count none.
    """

    flops: FlopCounts | None = None

    def __init__(
        self,
        *,
        model: nn.Module,
        strategy: Strategy,
        optimisation: Optimisation,
        augment: Augment,
        grow_head: bool,
        device: torch.device,
        one_optimiser: bool = False,
        new_model: Callable[[], nn.Module] | None = None,
        recorder: Recorder | None = None,
        test_precision: str = "fp32",
        note: Callable[[str], None] = lambda line: None,
        competitors: Tensor | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.strategy = strategy
        self.ranks = ranks or Ranks()
        self.competitors = None if competitors is None else competitors.to(device)
        self.optimisation = optimisation
        self.augment = augment
        self.grow_head = grow_head
        self.one_optimiser = one_optimiser
        self.new_model = new_model
        self.test_precision = test_precision
        self._note = note
        self.total_steps = 0
        self.classes_seen = 0
        self.classes_seen_before = 0
        self.loader: ReplayLoader | MemoryLoader
        self.schedule: Schedule
        self._on_step: Callable[[StepResult], None] = lambda result: None
        self._on_fresh: OnFresh | None = None
        model = model.to(device)
        super().__init__(
            model=model,
            optimizer=optimizer_of(model, optimisation),
            device=device,
            train_epochs=optimisation.epochs,
            evaluator=None,
            plugins=list(strategy.avalanche_plugins),
        )
        self._own_plugins = len(self.plugins)
        self._no_task = torch.zeros((), dtype=torch.int64, device=device)
        self.recorded: RecordedSteps | None = None
        self._recorder = recorder if strategy.capturable else None
        if self._recorder is not None:
            self.recorded = RecordedSteps(self.take_step, self._capture_step, self._recorder, note)

    # ------------------------------------------------------------------ training
    def fit(
        self,
        experience: Any,
        loader: ReplayLoader | MemoryLoader,
        classes_seen: int,
        classes_seen_before: int = 0,
        on_step: Callable[[StepResult], None] = lambda result: None,
        on_fresh: OnFresh | None = None,
        steps: int | None = None,
    ) -> None:
        """Train on one experience.

        Args:
            experience: Avalanche's, for its hooks.
            loader: gives the batches of an epoch.
            classes_seen: number of classes seen, this experience included.
            classes_seen_before: the same without it.
            on_step: called after every step.
            on_fresh: called after every step of the first epoch with the train set indices (B,) of
                its fresh samples, on the CPU, and with their logits (B, classes seen) in the step's
                forward pass. It may change the memory, so that these steps are not recorded.
            steps: number of steps, of which the last epoch may take a part; None: all epochs.
        """
        self.begin_experience(loader, classes_seen, classes_seen_before, steps)
        self._on_step = on_step
        self._on_fresh = on_fresh
        if not self.strategy.avalanche_plugins:
            with float32_products(self.device), self._recording():
                self.train(experience)
                self._forget_step()
            return
        assert isinstance(loader, ReplayLoader)
        # Plugins draw from the global generator.
        with float32_products(self.device), torch.random.fork_rng():
            library = loader.make.generators["library"]
            torch.manual_seed(int(torch.randint(2**62, (), generator=library)))
            self.train(RawExperience(experience, loader))  # type: ignore[arg-type]

    def begin_experience(
        self,
        loader: ReplayLoader | MemoryLoader,
        classes_seen: int,
        classes_seen_before: int = 0,
        steps: int | None = None,
    ) -> None:
        """Set an experience's data, class counts and number of steps; `fit` trains on them."""
        self.loader = loader
        self.experience_steps = len(loader) * self.optimisation.epochs if steps is None else steps
        self.train_epochs = math.ceil(self.experience_steps / max(1, len(loader)))
        self.train_mb_size = loader.batch
        self.classes_seen = classes_seen
        self.classes_seen_before = classes_seen_before

    def training_epoch(self, **kwargs: Any) -> None:
        """Take a step for every pair of fresh samples and exemplars that the loader draws.

        The last epoch of an experience ends with the last of its steps.
        """
        left = self.experience_steps - self.clock.train_exp_iterations
        for step in islice(iter(self.dataloader), left):
            if self._stop_training:
                break
            self.training_step(step)

    def training_step(self, step: RawStep) -> None:
        """Take one step: `take_step`, or its recording, then the schedule and the counters.

        Args:
            step: fresh samples and exemplars, with their random numbers.
        """
        on_fresh = self._on_fresh if self.clock.train_exp_epochs == 0 else None
        with nullcontext() if self.flops is None else self.flops.counting_step(step):
            if self.recorded is None or on_fresh is not None or not self._can_be_recorded:
                loss = self.take_step(step)
            else:
                loss = self.recorded.step(step)
        self.schedule.step()
        self.total_steps += 1
        self._after_training_iteration()
        if on_fresh is not None:
            assert step.fresh_ids is not None
            on_fresh(step.fresh_ids, self.mb_output[: len(step.fresh)].detach())
        self._report(step, loss)

    @property
    def _can_be_recorded(self) -> bool:
        """True unless a plugin was added to the strategy's own, or the schedule forbids it."""
        has_more_plugins = len(self.plugins) > self._own_plugins
        return self.schedule.can_be_recorded and not has_more_plugins

    def take_step(self, step: RawStep) -> Tensor:
        """Change the weights by one optimiser step, with Avalanche's hooks at their places.

        All of it is work for the device, and none of it waits for a value from there.

        Args:
            step: fresh samples and exemplars, with their random numbers.

        Returns:
            The loss (1,), detached.
        """
        batches = self.loader.make.prepare(step)
        forwarded = batches if self.strategy.forward_replay else batches.without_replay()
        task_labels = self._no_task.expand(len(forwarded.labels))
        self.mbatch = [forwarded.inputs, forwarded.labels, task_labels]
        self._before_training_iteration()

        self.optimizer.zero_grad()
        no_loss: Any = 0.0
        self.loss = no_loss  # plugins may add to it from now on

        self._before_forward()
        self.mb_output, features = self.run_model(self.mb_x)
        self._after_forward()

        outputs = forwarded.with_outputs(self.mb_output, features)
        if self.competitors is not None:
            outputs = self._among_own_classes(outputs)
        loss = self.strategy.loss(*outputs, self).reshape(1)
        self.loss = loss if self.loss is no_loss else self.loss + loss

        self._before_backward()
        self.backward()
        self.ranks.average_gradients(self.model.parameters())
        self._after_backward()
        self.strategy.after_backward(batches.fresh, batches.replay, self)

        self._before_update()
        if self.optimisation.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.optimisation.clip)
        self.optimizer.step()
        self._after_update()
        return self.loss.detach()

    def _among_own_classes(
        self, batches: tuple[ForwardedBatch, ForwardedBatch | None]
    ) -> tuple[ForwardedBatch, ForwardedBatch | None]:
        """The same batches, in which the classes of each sample's experience compete."""
        assert self.competitors is not None
        fresh, replay = batches
        rows = self.competitors[:, : fresh.logits.shape[1]]
        fresh = replace(fresh, among=rows[fresh.labels])
        if replay is not None:
            replay = replace(replay, among=rows[replay.labels])
        return fresh, replay

    def _capture_step(self, step: RawStep) -> Tensor:
        """`take_step` while it is captured, which the optimiser has to allow."""
        with capturable(self.optimizer):
            return self.take_step(step)

    def _recording(self) -> AbstractContextManager[None]:
        """Context in which an experience's steps are recorded, where they are."""
        loader = self.loader
        if self.recorded is None:
            return nullcontext()
        return self.recorded.experience(loader.batch, loader.replay_batch, self.experience_steps)

    def _forget_step(self) -> None:
        """Drop all tensors of the last step, which would keep its recording's memory in use."""
        if self.recorded is not None:
            nothing: Any = None
            self.mbatch = nothing
            self.mb_output = nothing
            self.loss = self._make_empty_loss()
            self.optimizer.zero_grad()

    def run_model(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Run the model in the training precision; each rank runs it on its part of the inputs.

        Args:
            inputs: (B, D, h, w).

        Returns:
            Logits (B, classes seen), and features (B, width) if the strategy uses them, of all
            inputs.

        Raises:
            UserError: one sample alone, where batch normalisation has one value of a channel.
        """
        precision = self.optimisation.precision
        divided = self.ranks.several
        own = self.ranks.own_rows(inputs) if divided else inputs
        try:
            if not self.strategy.uses_features:
                logits = self.logits(own, self.model, precision)
                return (self.ranks.whole(logits, len(inputs)) if divided else logits), None
            features = self.features(own, precision)
            if divided:
                features = self.ranks.whole(features, len(inputs))
            return self.logits(features, self.model.head, precision), features
        except ValueError as error:
            if LONE_VALUE not in str(error):
                raise
            raise UserError(
                "a step of one sample cannot pass the model's batch normalisation, which leaves "
                "one position of an image; choose another --batch, or a larger --resolution"
            ) from error

    def _report(self, step: RawStep, loss: Tensor) -> None:
        forwarded = step.parts if self.strategy.forward_replay else [step.fresh]
        self._on_step(
            StepResult(
                epoch=self.clock.train_exp_epochs,
                step=self.clock.train_epoch_iterations,
                steps=len(self.loader),
                total_steps=self.total_steps,
                samples=sum(len(part) for part in forwarded),
                fresh_ids=step.fresh.ids,
                loss=loss,
                learning_rate=self.schedule.rate,
            )
        )

    # ------------------------------------------------------------------ Avalanche's loop around it
    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Use the experience's own loader."""
        self.dataloader: Any = self.loader

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Make optimiser and schedule of an experience.

        A new optimiser for every experience, or one for all: its rate is warmed up in the first
        experience, then constant.
        """
        steps = self.experience_steps
        if not self.one_optimiser:
            self.optimizer = optimizer_of(self.model, self.optimisation)
            self.schedule = Schedule(self.optimizer, schedule_of(self.optimisation, steps))
        else:
            warm = 1 if self.total_steps else max(1, round(self.optimisation.warmup * steps))
            self.schedule = Schedule(self.optimizer, lambda step: min(1.0, (step + 1) / warm))
        if self.device.type == "cuda" or self.recorded is not None:
            self.schedule.keep_on_device(self.device)
        recordable = self.schedule.can_be_recorded
        if self.recorded is not None and not recordable and self.total_steps == 0:
            spec = self.optimisation.optimizer
            self._note(f"--optimizer {spec}: training steps do not run as CUDA graphs")

    def _before_training_exp(self, **kwargs: Any) -> None:
        set_training(self.model)
        with self.counting("hooks"):
            self.strategy.before_training_exp(self)
        super()._before_training_exp(**kwargs)
        if self.dataloader is not self.loader:  # a plugin replaced it
            self.dataloader = PluginLoader(self.dataloader, self.loader.make, len(self.loader))

    def _after_training_exp(self, **kwargs: Any) -> None:
        with self.counting("hooks"):
            self.strategy.after_training_exp(self)
            super()._after_training_exp(**kwargs)

    def add_flops(self, kind: str, flops: int) -> None:
        """Add FLOPs to a kind, where they are counted."""
        if self.flops is not None:
            self.flops.add(kind, flops)

    def counting(
        self, kind: str, key: Hashable = None, samples: int = 0
    ) -> AbstractContextManager[None]:
        """Context that adds the FLOPs of work to a kind, where they are counted.

        Args:
            kind: one of `seit_cl.core.flops.KINDS`.
            key: of work whose FLOPs are proportional to its samples; None for all other work.
            samples: its number of samples.
        """
        if self.flops is None:
            return nullcontext()
        return self.flops.counting(kind, key, samples)

    # ------------------------------------------------------------------ interface for strategies
    @property
    def memory(self) -> Memory | None:
        """The replay memory; None in a run without one."""
        return self.loader.memory

    @property
    def experiences_finished(self) -> int:
        """Number of experiences trained on before the current one."""
        return self.clock.train_exp_counter

    @property
    def fresh_count(self) -> int:
        """Number of samples of the current experience."""
        return len(self._fresh_loader().ids)

    def fresh_samples(
        self, rows: Tensor | None = None, batch: int = 512
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The experience's samples as raw data (B, ...) and labels (B,), on the CPU, in batches.

        Args:
            rows: (n,) their positions in the experience; None: all, in the stream's order.
            batch: largest B.
        """
        loader = self._fresh_loader()
        rows = torch.arange(len(loader.ids)) if rows is None else rows
        for part in rows.split(min(batch, self.most_at_once)):
            yield loader.raw(loader.ids[part]), loader.labels[part]

    def _fresh_loader(self) -> ReplayLoader:
        assert isinstance(self.loader, ReplayLoader), "training on exemplars has no fresh samples"
        return self.loader

    def reset_model(self) -> None:
        """Give the model new weights, as before the first experience."""
        assert self.new_model is not None
        self.model.load_state_dict(self.new_model().state_dict())

    def logits(self, inputs: Tensor, network: Callable[[Tensor], Tensor], precision: str) -> Tensor:
        """Logits (B, classes seen) float32 of a network for inputs (B, D, h, w)."""
        logits = float_logits(network, inputs, precision)
        return logits[:, : self.classes_seen] if self.grow_head else logits

    def scores(self, inputs: Tensor) -> Tensor:
        """The strategy's scores (B, classes seen) of inputs (B, D, h, w)."""
        return self.strategy.scores(inputs, self)

    def features(self, inputs: Tensor, precision: str) -> Tensor:
        """Features (B, width) float32 in front of the head for inputs (B, D, h, w)."""
        return float_features(self.model, inputs, precision)

    # ------------------------------------------------------------------ checkpoints
    def state_dict(self) -> dict[str, Any]:
        """Everything that the next experience depends on, for a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "clock": dict(vars(self.clock)),
            "classes_seen": self.classes_seen,
            "total_steps": self.total_steps,
            "optimizer": self.optimizer.state_dict() if self.one_optimiser else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.clock.__dict__.update(state["clock"])
        self.classes_seen = state["classes_seen"]
        self.total_steps = state["total_steps"]
        if self.one_optimiser:
            self.optimizer.load_state_dict(state["optimizer"])
