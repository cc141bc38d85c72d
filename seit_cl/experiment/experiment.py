"""One run: data -> scenario -> learner -> strategy -> results.

A folder of images becomes a dataset; a scenario cuts it into a benchmark; the tokenizer turns it into token grids once;
the learner trains on fresh samples and exemplars; after an experience the memory is offered its samples; the learner is
tested on the whole test stream seen so far; results, checkpoint and memory are committed together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.devices import choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.rng import Generators
from seit_cl.data.samples import Samples
from seit_cl.experiment import checkpoint
from seit_cl.experiment.build import (
    build_augment,
    build_memory,
    build_model,
    build_strategy,
    build_stream,
    optimisation,
    retokenize,
)
from seit_cl.experiment.metadata import environment, facts
from seit_cl.experiment.run_data import RunData
from seit_cl.formats.base import FittedFormat
from seit_cl.learner.batches import BatchMaker, MemoryLoader, ReplayLoader
from seit_cl.learner.learner import Learner
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.memory.herding import best_first
from seit_cl.results import run_files
from seit_cl.tokenizers._features import pooled_features

OFFER_CHUNK = 512  # samples encoded at a time when the memory is offered an experience
SHOWN_EXEMPLARS = 8
FITTED = 1000  # samples that a format looks at which must choose


@dataclass(frozen=True)
class StepInfo:
    """Where a run stands: experience and epoch (from 0) of how many, step of the epoch of how many; samples trained on so
    far, fresh ones and exemplars, and the seconds that took."""

    experience: int
    experiences: int
    epoch: int
    epochs: int
    step: int
    steps: int
    samples: int
    seconds: float


class Experiment:
    """One run of a configuration. Building one checks its options against the data; the model is made by `run`.

    Args:
        config: the run's options.
        data: its dataset and tokenizer, shared by the runs of a grid.
        run_dir: its folder.
        command: what the user typed, for environment.json.
        progress: called after every step.
        committed: called with the number of every experience, from 0, when its results are written.

    Raises:
        UserError: options that do not fit the data, or a budget below the header and one record.
    """

    def __init__(
        self,
        config: RunConfig,
        data: RunData,
        run_dir: Path,
        command: str = "",
        progress: Callable[[StepInfo], None] = lambda now: None,
        committed: Callable[[int], None] = lambda step: None,
    ) -> None:
        self.config, self.data, self.run_dir, self.command = config, data, run_dir, command
        self.progress, self.committed = progress, committed
        self.strategy = build_strategy(config)
        self.device = choose_device(config.device)
        self.stream = build_stream(config, data.dataset, self.strategy)
        self.scenario = self.stream.joined() if self.strategy.data == "joint" else self.stream
        self.labels = self.stream.labels(data.dataset.train.labels)
        self.test_labels = self.stream.labels(data.dataset.val.labels)
        self.names = [data.dataset.classes[c] for c in self.stream.class_order]
        self.generators = Generators(config.seed, self.device)
        self.memory = build_memory(config, data, self.strategy, len(self.names))
        if self.memory is not None:
            self.memory.require_room(self._samples(self.stream.train[0][:1]))
        self.accuracy: list[dict[str, Any]] = []
        self.memory_rows: list[dict[str, Any]] = []
        self.train_seconds = 0.0
        self.phases: dict[str, list[float]] = {
            name: [0.0, 0] for name in ("train", "remember", "test")
        }

    @cached_property
    def learner(self) -> Learner:
        """The model and its training step."""
        config = self.config

        def new_model() -> torch.nn.Module:
            return build_model(
                config, self.data, len(self.names), self.generators["initialisation"]
            )

        return Learner(
            model=new_model(),
            new_model=new_model,
            strategy=self.strategy,
            optimisation=optimisation(config),
            augment=build_augment(config, self.data, self.device),
            grow_head=config.head == "grow",
            one_optimiser=not self.scenario.boundaries
            and self.strategy.data != "memory",  # which starts over each time
            device=self.device,
            on_step=self._stepped,
        )

    def _stepped(self, epoch: int, step: int, steps: int) -> None:
        self._samples_done += self.learner.mb_x.shape[0]
        seconds = time.monotonic() - self._began
        self.progress(
            StepInfo(
                self._step,
                len(self.scenario),
                epoch,
                self.config.epochs,
                step,
                steps,
                self._samples_done,
                seconds,
            )
        )

    def _samples(self, ids: Tensor) -> Samples:
        return Samples(ids, self.labels[ids], self.data)

    def run(self) -> None:
        """Train on every experience that the last commit does not hold, then write the final results.

        An error marks the run as failed in its folder before it is raised; the same run may be started again.
        """
        start = self._resume()
        if start == 0:
            run_files.start_run(self.run_dir, self.config.plain(), environment(self))
        run_files.reopen_run(self.run_dir)
        run_files.log(self.run_dir, f"starts with experience {start + 1} of {len(self.scenario)}")
        try:
            benchmark = self.scenario.benchmark(self.data.dataset)
            for step in range(start, len(self.scenario)):
                self._learn(step, benchmark.train_stream[step])
                with self._timed("test"):
                    self._test(step)
                self._commit(step)
            self._finish()
        except Exception as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            run_files.write_metadata(self.run_dir, {"status": "failed", "problem": problem})
            run_files.log(self.run_dir, f"failed: {problem}")
            raise

    def _learn(self, step: int, experience: Any) -> None:
        self._step, self._samples_done, self._began = step, 0, time.monotonic()
        self.learner.memory = self.memory
        stages = (
            [self._remember, self._train]
            if self.strategy.data == "memory"
            else [self._train, self._remember]
        )
        for stage in stages:
            with self._timed("train" if stage == self._train else "remember"):
                stage(step, experience)
        with self._timed("train"):
            self.strategy.after_memory_update()
        self.phases["train"][1] += self._samples_done
        self.train_seconds += time.monotonic() - self._began

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        """Adds the seconds that the block takes to a phase of the run."""
        began = time.monotonic()
        yield
        self.phases[phase][0] += time.monotonic() - began

    def _resume(self) -> int:
        transform = (
            retokenize(self.config, self.data, self.memory.fmt.domain)
            if self.memory is not None
            else None
        )
        found = checkpoint.restore(
            self.run_dir, transform, self.device, self.data.tokenizer.entropy_model
        )
        if found is None:
            return 0
        state, memory = found
        self.learner.seen = self.scenario.seen(state["step"])
        self.learner.model.load_state_dict(state["model"])
        self.strategy.load_state_dict(state["strategy"])
        self.learner.clock.__dict__.update(state["clock"])
        self.generators.load_state_dict(state["generators"])
        self.accuracy, self.memory_rows = state["accuracy"], state["memory_rows"]
        self.learner.steps_done, self.train_seconds = state["steps"], state["train_seconds"]
        if self.learner.one_optimiser:
            self.learner.optimizer.load_state_dict(state["optimiser"])
        self.phases = state.get("phases", self.phases)
        self.memory = memory
        return state["step"] + 1

    def _loader(self, step: int) -> ReplayLoader | MemoryLoader:
        """The steps of an epoch."""
        config, strategy = self.config, self.strategy
        shown = self.scenario.train
        ids = torch.cat(shown[: step + 1]) if strategy.data == "cumulative" else shown[step]
        cutmix_p = 0.0 if strategy.disable_cutmix else config.cutmix_p
        maker = BatchMaker(
            self.learner.augment,
            len(self.names),
            cutmix_p,
            config.cutmix_alpha,
            self.device,
            self.generators,
        )
        if strategy.data == "memory":
            assert self.memory is not None
            return MemoryLoader(
                maker,
                self.memory,
                config.batch,
                config.replay_batch,
                sum(map(len, shown[: step + 1])),
            )
        return ReplayLoader(
            maker,
            lambda wanted: self.data.raw(config.learner, wanted),
            ids,
            self.labels[ids],
            config.batch,
            config.replay_batch,
            self.memory,
            strategy.before_sampling,
        )

    def _train(self, step: int, experience: Any) -> None:
        before = self.scenario.seen(step - 1) if step else 0
        self.learner.fit(experience, self._loader(step), self.scenario.seen(step), before)
        if not all(bool(torch.isfinite(p).all()) for p in self.learner.model.parameters()):
            raise UserError(
                f"{self.run_dir.name}: training diverged in experience {step + 1}; lower --learning-rate "
                f"{self.config.learning_rate:g}"
            )

    def _remember(self, step: int, experience: Any) -> None:
        if self.memory is None:
            return
        ids = self.scenario.train[step]
        if self.memory.best_first:
            features = self.learner.features(self.data.raw(self.config.learner, ids))
            ids = ids[best_first(features, self.labels[ids])]
        self._fit(ids)
        self.phases["remember"][1] += len(ids)
        for part in ids.split(OFFER_CHUNK):
            extras = (
                self.strategy.extras(self.data.raw(self.config.learner, part))
                if self.memory.exemplar_fields
                else {}
            )
            self.memory.offer(self._samples(part), extras)
        kept = dict(zip(self.names, self.memory.counts_per_class().tolist(), strict=True))
        self.memory_rows += run_files.memory_rows(step, kept, self.memory.bytes_by_kind())

    def _fit(self, ids: Tensor) -> None:
        """Let a format that must look at data look at up to FITTED of an experience's samples (n,), from all over it."""
        memory = self.memory
        if memory is not None and isinstance(memory.fmt, FittedFormat) and memory.fmt.unfitted:
            memory.fit(
                self._samples(ids[:: -(-len(ids) // FITTED)]),
                partial(pooled_features, self.data.tokenizer),
            )
            run_files.log(self.run_dir, f"{memory.fmt.spec}: chose {memory.fmt.chosen}")

    @property
    def accuracy_so_far(self) -> float | None:
        """The last test's accuracy over all classes seen, a fraction; None before the first."""
        last = list(
            takewhile(
                lambda row: row["after_experience"] == self.accuracy[-1]["after_experience"],
                reversed(self.accuracy),
            )
        )
        return (
            sum(row["correct"] for row in last) / sum(row["total"] for row in last)
            if last
            else None
        )

    def _test(self, step: int) -> None:
        joint, last = self.strategy.data == "joint", len(self.scenario) - 1
        if step < last and (step + 1) % self.config.eval_every:
            return
        at = len(self.stream) - 1 if joint else step
        self.learner.seen = self.stream.seen(at)
        raw = self.data.test(self.config.learner)
        for experience in range(at + 1):
            ids = self.stream.test[experience]
            if not len(ids):
                continue
            labels = self.test_labels[ids]
            self.phases["test"][1] += len(ids)
            correct = labels[self.learner.predict(raw[ids]) == labels]
            shown = labels.unique().tolist()
            count = {self.names[label]: int((correct == label).sum()) for label in shown}
            total = {self.names[label]: int((labels == label).sum()) for label in shown}
            self.accuracy += run_files.accuracy_rows(at, experience, count, total)

    def _commit(self, step: int) -> None:
        state = {
            "model": self.learner.model.state_dict(),
            "strategy": self.strategy.state_dict(),
            "clock": dict(vars(self.learner.clock)),
            "generators": self.generators.state_dict(),
            "accuracy": self.accuracy,
            "memory_rows": self.memory_rows,
            "steps": self.learner.steps_done,
            "train_seconds": self.train_seconds,
            "optimiser": self.learner.optimizer.state_dict() if self.learner.one_optimiser else {},
            "phases": self.phases,
        }
        checkpoint.commit(self.run_dir, step, self.memory, state)
        self._write_rows()
        self._log(step)
        self.committed(step)

    def _log(self, step: int) -> None:
        memory = self.memory
        held = (
            ""
            if memory is None
            else f", {len(memory)} exemplars in {memory.used_bytes} of {memory.budget_bytes} bytes"
        )
        seconds = time.monotonic() - self._began
        tested = self.accuracy_so_far is not None and self.accuracy[-1]["after_experience"] >= step
        accuracy = (
            f"accuracy {100 * (self.accuracy_so_far or 0):.1f} % of the classes seen"
            if tested
            else "not tested"
        )
        run_files.log(
            self.run_dir,
            f"experience {step + 1} of {len(self.scenario)}: {accuracy}, {self.learner.steps_done} steps, "
            f"{seconds:.0f} s{held}",
        )

    def _write_rows(self) -> None:
        run_files.write_accuracy(self.run_dir, self.accuracy)
        if self.memory_rows:
            run_files.write_memory(self.run_dir, self.memory_rows)

    def _finish(self) -> None:
        self._write_rows()
        if self.memory is not None:
            self._show_exemplars(self.memory)
        run_files.finish_run(self.run_dir, facts(self))
        checkpoint.close(self.run_dir)

    def _show_exemplars(self, memory: ByteBudgetBuffer) -> None:
        """exemplars.npz: a few training images before and after the format; none where tokens give no images back."""
        if memory.fmt.domain == "tokens" and not self.data.tokenizer.decodes:
            return
        first = self.stream.train[0]
        ids = first[:: -(-len(first) // SHOWN_EXEMPLARS)]  # of several classes
        after = memory.fmt.decode(memory.fmt.encode(self._samples(ids)))
        if memory.fmt.domain == "tokens":
            after = self.data.tokenizer.decode(after)
        run_files.write_exemplars(self.run_dir, self.data.shown(ids).numpy(), after.numpy())
