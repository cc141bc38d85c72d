"""One run of a configuration: `Experiment.run` trains, fills the memory, tests and commits.

A folder of images becomes a dataset; a scenario cuts it into a stream of experiences; the tokenizer
turns it into token grids once. In every experience the learner trains on fresh samples and
exemplars, the memory is offered the experience's samples (before, during or after the training,
`--fill`), the learner is tested on all classes of the stream so far, and results, checkpoint and
memory are committed together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seit_cl.config import RunConfig
from seit_cl.core.blocks import images_at_once
from seit_cl.core.devices import choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.ranks import Ranks
from seit_cl.core.rng import Generators
from seit_cl.data.samples import Samples
from seit_cl.data.scenario import Scenario
from seit_cl.experiment import checkpoint
from seit_cl.experiment.agreement import check_network, check_strategy
from seit_cl.experiment.build import (
    build_augment,
    build_flops_budget,
    build_memory,
    build_model,
    build_recorder,
    build_strategy,
    build_stream,
    check_model,
    check_optimisation,
    load_initial,
    memory_transform,
    optimisation,
    task_heads,
)
from seit_cl.experiment.compute import flops_metadata, tokenizing_flops
from seit_cl.experiment.events import ExperienceInfo, StepInfo
from seit_cl.experiment.metadata import Training, environment, run_metadata, uses_tokenizer
from seit_cl.experiment.modality import build_modality
from seit_cl.experiment.record import RunRecord
from seit_cl.experiment.remembering import (
    Filling,
    choose_fill,
    fit_format,
    memory_rows,
    write_exemplars,
)
from seit_cl.experiment.run_batches import RunBatches
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.run_state import RunState
from seit_cl.experiment.run_tests import RunTests
from seit_cl.experiment.run_training import RunTraining
from seit_cl.experiment.start_notes import start_notes
from seit_cl.learner.learner import Learner
from seit_cl.learner.recording import Recorder
from seit_cl.learner.step_flops import LearnerFlops
from seit_cl.models._weights import FILE as WEIGHTS_FILE
from seit_cl.models._weights import save_weights
from seit_cl.results import run_writer

COMMIT_SECONDS = 30.0  # work that an interrupted run loses, or one experience if that is longer


class Experiment:
    """One run of a configuration.

    Building one checks its options against the data; the model is made by `run`.

    Args:
        config: the run's options.
        data: its dataset and tokenizer, shared by the runs of a grid.
        run_dir: its folder.
        command: as typed by the user, for environment.json.
        stream: trained and tested on instead of the configuration's scenario.
        ranks: processes that make the run together, of which the first writes its files; None:
            this one alone.

    Raises:
        UserError: options that do not fit the data, or a budget below the header and one record.
    """

    def __init__(
        self,
        config: RunConfig,
        data: RunData,
        run_dir: Path,
        command: str = "",
        stream: Scenario | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks()
        self.strategy = build_strategy(config)
        # The record of the run says when its memory is filled, not that it is left to the strategy.
        config = replace(config, fill=choose_fill(config, self.strategy))
        self.config = config
        self.data = data
        self.run_dir = run_dir
        self.command = command
        self.device = choose_device(config.device)
        self.modality = build_modality(config.learner, data)
        if stream is None:
            stream = build_stream(config, data.dataset, self.strategy)
        self.stream = stream
        self.training_stream = self.strategy.training_stream(self.stream)
        task_heads(config, self.stream, self.strategy)
        check_optimisation(config, self.training_stream, self.strategy)
        self.labels = self.stream.labels(data.dataset.train.labels)
        self.class_names = [data.dataset.classes[label] for label in self.stream.class_order]
        check_model(config, data, self.class_names)
        if self.ranks.several:
            check_strategy(config, self.strategy)
            some = torch.Generator()
            check_network(config, build_model(config, data, len(self.class_names), some))
        self.generators = Generators(config.seed, self.device)
        self.record = RunRecord()
        self.tests = RunTests(
            config,
            data,
            self.stream,
            len(self.training_stream),
            self.modality,
            self.record,
            self.class_names,
        )
        self.memory = build_memory(
            config, data, self.strategy, len(self.class_names), meter=self.record.flops
        )
        if self.memory is not None:
            self.memory.require_budget_for(self._samples(self.stream.train[0][:1]))
        self.flops_budget = build_flops_budget(config, self.training_stream, self.strategy)
        self._loaded = ""  # of --init, for the log

    @cached_property
    def learner(self) -> Learner:
        """The model and its training step."""
        # A strategy that starts over has an optimiser for every experience in any stream.
        starts_over = self.strategy.trains_on_memory
        model = self._new_model()
        if self._loaded:
            self._note(self._loaded)
        learner = Learner(
            model=model,
            new_model=self._new_model,
            strategy=self.strategy,
            optimisation=optimisation(self.config),
            augment=build_augment(self.config, self.data, self.device),
            grow_head=self.config.head != "fixed",
            one_optimiser=not self.training_stream.boundaries and not starts_over,
            device=self.device,
            recorder=self.recorder,
            test_precision=self.config.test_precision,
            note=self._note,
            competitors=task_heads(self.config, self.stream, self.strategy),
            ranks=self.ranks,
        )
        learner.most_at_once = images_at_once(self.data.resolution)
        learner.flops = self._flops = self._count_flops(learner)
        return learner

    def _count_flops(self, learner: Learner) -> LearnerFlops:
        example = self.modality.train_inputs(self.stream.train[0][:1])
        return LearnerFlops(learner, self.record.flops, example)

    @cached_property
    def recorder(self) -> Recorder | None:
        """Records training steps; None where they are not recorded."""
        if self.ranks.several:  # a step waits for other processes
            return None
        return build_recorder(self.config, self.strategy)

    @cached_property
    def batches(self) -> RunBatches:
        """The batches of all experiences."""
        return RunBatches(
            self.config,
            self.learner,
            self.strategy,
            self.training_stream,
            self.modality,
            self.labels,
            len(self.class_names),
            self.generators,
            records=self.recorder is not None,
        )

    @cached_property
    def training(self) -> RunTraining:
        """The training on all experiences."""
        learner = self.learner
        return RunTraining(
            self.config,
            self.run_dir.name,
            self.training_stream,
            learner,
            self.batches,
            self.tests,
            self.record,
            self.flops_budget,
            self._flops,
            self._note,
        )

    @property
    def _state(self) -> RunState:
        """The present state, with the present memory."""
        return RunState(self.learner, self.strategy, self.generators, self.record, self.memory)

    def _new_model(self) -> nn.Module:
        generator = self.generators["initialisation"]
        network = build_model(self.config, self.data, len(self.class_names), generator)
        self._loaded = load_initial(self.config, network, self.class_names)
        return network

    def _samples(self, ids: Tensor) -> Samples:
        return Samples(ids, self.labels[ids], self.data)

    # ------------------------------------------------------------------ the run
    def run(
        self,
        on_step: Callable[[StepInfo], None] = lambda info: None,
        on_experience: Callable[[ExperienceInfo], None] = lambda info: None,
    ) -> None:
        """Train on every experience after the last commit, then write the final results.

        An error marks the run as failed in its folder before it is raised; the same run may be
        started again.

        Args:
            on_step: called after every training step.
            on_experience: called after every experience, after its test and its commit where they
                are due.
        """
        first = self._resume()
        self._committed = time.monotonic()
        experiences = len(self.training_stream)
        if self.ranks.is_first:
            if first == 0:
                config = self.config.plain(len(self.class_names))
                run_writer.start_run(self.run_dir, config, self._environment())
            run_writer.reopen_run(self.run_dir)
        self._note(f"starts with experience {first + 1} of {experiences}")
        records = self.recorder is not None
        notes = start_notes(self.config, self.data, self.strategy, self.ranks, self.device, records)
        for line in notes:
            self._note(line)
        try:
            if first == 0:
                self.strategy.start(self.learner)
            benchmark = self.training_stream.benchmark(self.data.dataset)
            for experience in range(first, experiences):
                began = time.monotonic()
                self._learn(experience, benchmark.train_stream[experience], on_step)
                if self.tests.due(experience):
                    self.tests.after_experience(experience, self.learner)
                if self._commit_is_due(experience):
                    self._commit(experience)
                    self._log(experience, time.monotonic() - began)
                on_experience(
                    ExperienceInfo(
                        experience, self.learner.total_steps, self.record.accuracy, self.memory
                    )
                )
            self._finish()
        except Exception as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            if self.ranks.is_first:
                self._mark_failed(problem)
            raise

    def _mark_failed(self, problem: str) -> None:
        with suppress(OSError):  # of a disk that cannot be written, which may be the error
            run_writer.write_metadata(self.run_dir, {"status": "failed", "problem": problem})
            self._note(f"failed: {problem}")

    def _note(self, line: str) -> None:
        """Write a line to the run's log, in the first rank."""
        if self.ranks.is_first:
            run_writer.log(self.run_dir, line)

    def _learn(
        self, experience: int, avalanche_experience: Any, on_step: Callable[[StepInfo], None]
    ) -> None:
        """Train on an experience and offer it to the memory, at the time of --fill."""
        began = time.monotonic()
        hooks_before = self.record.flops.totals["hooks"]
        filling = self._filling(experience)
        fills_first = self.strategy.trains_on_memory or self.config.fill == "before"
        if fills_first:
            self._remember(experience, filling)
        on_fresh = None
        if filling is not None and self.config.fill == "during":
            on_fresh = partial(self._offer_step, filling)
        self.training.train(experience, avalanche_experience, self.memory, on_step, on_fresh, began)
        if not fills_first:
            self._remember(experience, filling)
        with self.record.timed("train"), self.learner.counting("hooks"):
            self.strategy.after_memory_update(self.learner)
        self.record.last_hooks = self.record.flops.totals["hooks"] - hooks_before
        self.record.train_seconds += time.monotonic() - began

    # ------------------------------------------------------------------ memory
    def _filling(self, experience: int) -> Filling | None:
        """The offers of an experience's samples; None without a memory."""
        if self.memory is None:
            return None
        return Filling(
            self.memory,
            self._samples(self.training_stream.train[experience]),
            self.learner,
            self.strategy,
            self.modality,
            partial(fit_format, self._note, self.data.tokenizer),
        )

    def _offer_step(self, filling: Filling, ids: Tensor, logits: Tensor) -> None:
        """Offer the fresh samples (B,) of a step, with their logits (B, classes seen) in it."""
        with self.record.timed("remember"):
            filling.offer_step(self._samples(ids), logits)

    def _remember(self, experience: int, filling: Filling | None) -> None:
        """Offer an experience's samples to the memory, those that no step has offered yet."""
        if filling is None:
            return
        with self.record.timed("remember"):
            filling.offer_rest()
            if self.tests.due(experience):
                self.record.memory += memory_rows(experience, filling.memory, self.class_names)
        self.record.phases["remember"].images += len(filling.samples)

    # ------------------------------------------------------------------ checkpoint and results
    def _resume(self) -> int:
        """Restore the last commit, and return the index of the experience to continue with.

        The first rank does so before the others, since it deletes what interrupted commits left.
        """
        with self.ranks.first_before_others():
            following = self._restore()
        if self.ranks.several:
            self.ranks.require_equal({"the last commit": f"{following:x}"}, "at the start")
            self._require_agreement("at the start")
        return following

    def _require_agreement(self, moment: str) -> None:
        """Check that all ranks have the same memory, model and random numbers.

        Raises:
            UserError: one of them has others.
        """
        self.ranks.require_equal(self._state.digests(), moment)

    def _restore(self) -> int:
        """Restore the last commit, and return the index of the experience to continue with."""
        transform = None
        if self.memory is not None:
            transform = memory_transform(self.modality, self.memory.fmt, self.record.flops)
        entropy_model = self.data.tokenizer.entropy_model
        restored = checkpoint.restore(self.run_dir, transform, self.device, entropy_model)
        if restored is None:
            return 0
        state, self.memory = restored
        run_writer.check_unchanged(self.run_dir, state.get("files", {}))
        try:
            self._state.load_state_dict(state)
            return int(state["experience"]) + 1
        except torch.OutOfMemoryError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            # Without a digest, such as one that was edited; a digest would have told.
            raise UserError(
                f"{self.run_dir / checkpoint.NAME}: not the state of this run "
                f"({type(error).__name__}); delete {self.run_dir} to start over"
            ) from error

    def _commit_is_due(self, experience: int) -> bool:
        """True after a test, and where the last commit is old.

        An online stream has thousands of experiences, each of less work than a commit.
        """
        is_old = time.monotonic() - self._committed > COMMIT_SECONDS
        return self.tests.due(experience) or self.ranks.of_first(is_old)

    def _commit(self, experience: int) -> None:
        """Make the present state the one that a resumed run continues from.

        Raises:
            UserError: the ranks differ; the earlier commit stands.
        """
        if self.ranks.several:
            self._require_agreement(f"after experience {experience + 1}")
        if self.ranks.is_first:
            self._write_commit(experience)
        self._committed = time.monotonic()

    def _write_commit(self, experience: int) -> None:
        state = self._state.state_dict() | {"files": run_writer.digests_of_start(self.run_dir)}
        checkpoint.commit(self.run_dir, experience, self.memory, state)
        self.record.write(self.run_dir, self.class_names)

    def _finish(self) -> None:
        probe = self.tests.probe(self.labels, self.learner)
        if self.ranks.is_first:
            self._write_results(probe)

    def _write_results(self, probe: dict[str, float]) -> None:
        """Write the files of a finished run.

        Args:
            probe: metadata about the linear probe.
        """
        self.record.write(self.run_dir, self.class_names)
        if self.memory is not None:
            first = self._samples(self.stream.train[0])
            write_exemplars(self.run_dir, self.memory, self.data, first)
        if self.config.save_model:
            path = self.run_dir / WEIGHTS_FILE
            save_weights(path, self.learner.model, self.class_names, self.config.model)
        checkpoint.name_memory(self.run_dir)
        run_writer.finish_run(self.run_dir, self.metadata() | probe)
        checkpoint.close(self.run_dir)

    def metadata(self) -> dict[str, Any]:
        """The run's row of summary.csv, without the metrics computed from accuracy.csv."""
        training = Training(
            self.learner.model,
            self.learner.total_steps,
            self.record.train_seconds,
            self.strategy.strategy_bytes,
            self._flops_metadata(),
        )
        return run_metadata(
            self.config,
            self.data,
            self.stream.name,
            self.memory,
            training,
            self.record.phases,
            self.device,
        )

    def _flops_metadata(self) -> dict[str, int]:
        """The columns of summary.csv about FLOPs; empty for a run that was begun without them."""
        if not self.record.counts_flops:
            return {}
        per_image = tokenizing_flops(self.data) if uses_tokenizer(self.config) else 0
        train_images = len(torch.cat(self.stream.train).unique())
        test_images = len(torch.cat(self.stream.test).unique())
        return flops_metadata(self.record.flops, per_image, train_images, test_images)

    def _environment(self) -> dict[str, Any]:
        values = environment(self.config, self.data, self.device, self.command, self.class_names)
        return values | ({"processes": self.ranks.count} if self.ranks.several else {})

    def _log(self, experience: int, seconds: float) -> None:
        number = f"experience {experience + 1} of {len(self.training_stream)}"
        result = self.record.summary(experience, self.learner.total_steps, seconds, self.memory)
        self._note(f"{number}: {result}")
