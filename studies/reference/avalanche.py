"""Avalanche's own strategies (Carta et al., JMLR 2023), trained on our stream and network.

They take our steps with our optimiser, so that `studies.reference` can compare both sides.
"""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import (
    _make_taskaware_tensor_classification_dataset,  # what its iCaRL makes of exemplars
)
from avalanche.training import DER, ER_ACE, ICaRL, Naive
from avalanche.training.plugins import (
    AGEMPlugin,
    EWCPlugin,
    GDumbPlugin,
    LwFPlugin,
    ReplayPlugin,
    SupervisedPlugin,
)
from avalanche.training.storage_policy import ClassBalancedBuffer
from torch import Tensor, nn

from seit_cl.learner.optim import Schedule, optimizer_of, schedule_of
from seit_cl.learner.settings import Optimisation

Batches = Literal["fresh", "beside", "alone", "own"]


@dataclass(frozen=True)
class Task:
    """Data, model and settings that both sides share.

    Args:
        train: per experience, inputs (n, D, H, W) float32 and labels (n,).
        test: the same.
        model: the ViT with its first weights.
        optimisation: as for our learner.
        batch: fresh samples a step.
        replay_batch: exemplars a step.
        exemplars: that the memory holds.
        options: our strategy's hyperparameters, or None.
        order: the generator of the fresh order.
        replay: that of exemplars, where we draw them.
        grow_head: True for logits of the classes seen, False for all classes from the start.
    """

    train: list[tuple[Tensor, Tensor]]
    test: list[tuple[Tensor, Tensor]]
    model: Any
    optimisation: Optimisation
    batch: int
    replay_batch: int
    exemplars: int
    options: Any
    order: torch.Generator
    replay: torch.Generator
    grow_head: bool


@dataclass(frozen=True)
class Outcome:
    """Results of a run.

    Args:
        correct: by experience trained on, the correct answers by test experience so far.
        total: test samples by experience.
        predicted: predicted labels of all test samples after the last experience.
        steps: number of optimiser steps.
        held: number of exemplars at the end.
    """

    correct: list[list[int]]
    total: list[int]
    predicted: list[int]
    steps: int
    held: int


class Network(nn.Module):
    """The ViT for flattened inputs (B, D H W).

    Avalanche augments inputs of four dimensions as images (iCaRL's mirrored copies), which has no
    meaning for embeddings of tokens; it leaves flattened inputs alone.
    """

    seen: int | None = None  # number of classes with logits; None: all

    def __init__(self, vit: Any, shape: torch.Size, features: bool = False) -> None:
        super().__init__()
        self.vit = vit
        self.shape = shape
        self.features = features

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, C), or features in front of the head (B, width)."""
        images = inputs.reshape(-1, *self.shape).contiguous(memory_format=torch.channels_last)
        tokens = self.vit.forward_features(images)
        outputs: Tensor = self.vit.forward_head(tokens, pre_logits=self.features)
        return outputs if self.features else outputs[:, : self.seen]


class OurSteps(SupervisedPlugin):
    """Our training step: new optimiser and schedule per experience, clipping, and our batches.

    Args:
        task: data, model and settings.
        batches: "fresh": the experience in our order; "beside": with exemplars, which the strategy
            appended to its dataset; "alone": exemplars alone; "own": Avalanche's own loader.
    """

    def __init__(self, task: Task, batches: Batches) -> None:
        super().__init__()
        self.task = task
        self.batches = batches
        self.steps = 0
        self.samples = 0
        self.experiences = 0

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Make optimiser, schedule and loader."""
        fresh = len(strategy.experience.dataset)
        self.samples += fresh
        network = getattr(strategy.model, "feature_extractor", strategy.model)
        if self.task.grow_head:
            labels = self.task.train[self.experiences][1]
            network.seen = 1 + int(labels.max())
        self.experiences += 1
        if self.batches != "own":
            strategy.dataloader = OurBatches(
                self.task, strategy.adapted_dataset, self.batches, fresh, self.samples
            )
        steps = len(strategy.dataloader) * self.task.optimisation.epochs
        self.vit = network.vit
        optimisation = self.task.optimisation
        strategy.optimizer = optimizer_of(self.vit, optimisation)
        self.schedule = Schedule(strategy.optimizer, schedule_of(optimisation, steps))

    def before_update(self, strategy: Any, **kwargs: Any) -> None:
        """Clip the gradients."""
        nn.utils.clip_grad_norm_(self.vit.parameters(), self.task.optimisation.clip)

    def after_update(self, strategy: Any, **kwargs: Any) -> None:
        """Advance the schedule."""
        self.schedule.step()
        self.steps += 1


class OurBatches:
    """An epoch's batches [inputs, labels, task labels] of an Avalanche dataset.

    Args:
        task: data, model and settings.
        dataset: the experience's samples, then exemplars.
        batches: as for OurSteps.
        fresh: number of the experience's samples.
        seen: number of samples of all experiences so far.
    """

    def __init__(self, task: Task, dataset: Any, batches: Batches, fresh: int, seen: int) -> None:
        rows = [dataset[i] for i in range(len(dataset))]
        self.inputs = torch.stack([row[0] for row in rows])
        self.labels = torch.tensor([int(row[1]) for row in rows])
        self.task = task
        self.alone = batches == "alone"
        self.fresh = 0 if self.alone else fresh
        self.samples = seen if self.alone else fresh

    def __len__(self) -> int:
        return -(-self.samples // self.task.batch)

    def __iter__(self) -> Iterator[list[Tensor]]:
        task = self.task
        if self.alone:
            parts = [self._exemplars(task.batch) for _ in range(len(self))]
        else:
            parts = list(torch.randperm(self.fresh, generator=task.order).split(task.batch))
        for part in parts:
            rows = part
            if len(self.labels) > self.fresh:
                rows = torch.cat([part, self._exemplars(task.replay_batch)])
            yield [self.inputs[rows], self.labels[rows], torch.zeros_like(rows)]

    def _exemplars(self, count: int) -> Tensor:
        order = torch.randperm(len(self.labels) - self.fresh, generator=self.task.replay)
        return self.fresh + order[:count]


class Delayed(ClassBalancedBuffer):
    """Buffer that takes an experience's samples when the next one begins.

    ER_ACE updates its memory before it trains; ours is updated afterwards.
    """

    waiting: Any = None

    def update(self, strategy: Any, **kwargs: Any) -> None:
        """Take the samples of the experience before."""
        if self.waiting is not None:
            self.update_from_dataset(self.waiting, strategy)
        self.waiting = strategy.experience.dataset


class SingleSamples(SupervisedPlugin):
    """Batches of one sample: EWCPlugin's Fisher information squares the mean gradient of a batch.

    It stands before EWCPlugin in the list of plugins.
    """

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Set the batch size; training takes its batches from OurBatches."""
        strategy.train_mb_size = 1


class EqualShares(SupervisedPlugin):
    """Fill the memory after every experience for AGEMPlugin, whose shares are fixed otherwise.

    It stands before AGEMPlugin in the list of plugins.

    Args:
        plugin: AGEMPlugin.
        exemplars: in all.
    """

    def __init__(self, plugin: AGEMPlugin, exemplars: int) -> None:
        super().__init__()
        self.plugin = plugin
        self.exemplars = exemplars

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Shrink the older parts and leave room for the new one."""
        share = self.exemplars // (len(self.plugin.buffers) + 1)
        self.plugin.buffers = [
            buffer.subset(range(min(share, len(buffer)))) for buffer in self.plugin.buffers
        ]
        self.plugin.patterns_per_experience = share


@dataclass
class Made:
    """A strategy of Avalanche that is ready to train.

    Args:
        strategy: Avalanche's.
        steps: its plugin that takes our steps.
        held: counts its exemplars.
    """

    strategy: Any
    steps: OurSteps
    held: Callable[[], int]


def build(task: Task, name: str, lined_up: bool) -> Made:
    """Build Avalanche's counterpart of one of our strategies.

    Args:
        task: data, model and settings.
        name: of our strategy.
        lined_up: remove its differences from ours, where that is possible.
    """
    shape = task.train[0][0].shape[1:]
    plugins, batches, held = _parts(task, name, lined_up)
    steps = OurSteps(task, batches)
    common: dict[str, Any] = {
        "optimizer": torch.optim.SGD(task.model.parameters(), 0.0),
        "train_mb_size": task.batch,
        "eval_mb_size": 512,
        "train_epochs": task.optimisation.epochs,
        "evaluator": None,
        "plugins": [*plugins, steps],
    }
    network = Network(task.model, shape)
    memory: dict[str, Any] = {"mem_size": task.exemplars, "batch_size_mem": task.replay_batch}
    made: Any
    if name == "er_ace":
        made = ER_ACE(model=network, **memory, **common)
        if lined_up:
            made.storage_policy = Delayed(max_size=task.exemplars, adaptive_size=True)
        return Made(made, steps, lambda: len(made.storage_policy.buffer))
    if name == "derpp":
        made = DER(
            model=network, alpha=task.options.alpha, beta=task.options.beta, **memory, **common
        )
        return Made(made, steps, lambda: len(made.storage_policy.buffer))
    if name == "icarl":
        if not lined_up:
            common["train_mb_size"] += task.replay_batch
        made = ICaRL(
            feature_extractor=Network(task.model, shape, features=True),
            classifier=task.model.head,
            memory_size=task.exemplars,
            buffer_transform=None,
            fixed_memory=True,
            **common,
        )
        icarl: Any = next(p for p in made.plugins if hasattr(p, "x_memory"))
        return Made(made, steps, lambda: sum(map(len, icarl.x_memory)))
    if name == "gdumb":
        common["train_mb_size"] += task.replay_batch
    return Made(Naive(model=network, **common), steps, held)


def _parts(task: Task, name: str, lined_up: bool) -> tuple[list[Any], Batches, Callable[[], int]]:
    """Return plugins, the kind of batches, and a function that counts the plugins' exemplars."""
    if name == "lwf":
        return [LwFPlugin(task.options.alpha, task.options.temperature)], "fresh", lambda: 0
    if name == "ewc":
        # Its penalty has no factor 1/2; as ours, one Fisher information for all experiences.
        ewc = EWCPlugin(task.options.strength / 2, mode="online", decay_factor=task.options.decay)
        return [SingleSamples(), ewc] if lined_up else [ewc], "fresh", lambda: 0
    if name == "agem":
        agem = AGEMPlugin(task.exemplars // len(task.train), task.replay_batch)
        shares = [EqualShares(agem, task.exemplars)] if lined_up else []
        return [*shares, agem], "fresh", lambda: sum(map(len, agem.buffers))
    if name == "gdumb":
        gdumb = GDumbPlugin(task.exemplars)
        return [gdumb], "alone" if lined_up else "own", lambda: len(gdumb.storage_policy.buffer)
    if name == "er":
        storage = ClassBalancedBuffer(task.exemplars, adaptive_size=True)
        replay = ReplayPlugin(task.exemplars, task.batch, task.replay_batch, storage_policy=storage)
        return [replay], "own", lambda: len(storage.buffer)
    return [], ("beside" if lined_up else "own") if name == "icarl" else "fresh", lambda: 0


@contextmanager
def library_seed(seed: int) -> Iterator[None]:
    """Seed the global generators of torch and Python, which Avalanche uses; restore them after."""
    state = random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def run(task: Task, name: str, lined_up: bool, seed: int) -> Outcome:
    """Train Avalanche's counterpart of a strategy, and test it after every experience.

    Args:
        task: data, model and settings.
        name: of our strategy.
        lined_up: as for `build`.
        seed: of the global generators.
    """
    made = build(task, name, lined_up)
    benchmark: Any = benchmark_from_datasets(train=[_dataset(*part) for part in task.train])
    classes = [labels.unique().tolist() for _, labels in task.train]
    of_icarl = SimpleNamespace(
        n_classes_per_exp=[*map(len, classes)], classes_order=[*itertools.chain(*classes)]
    )
    correct: list[list[int]] = []
    predicted: list[Tensor] = []
    # Avalanche re-enables warnings about its own deprecated calls; recording silences them.
    with library_seed(seed), warnings.catch_warnings(record=True):
        for index, experience in enumerate(benchmark.train_stream):
            experience.benchmark = of_icarl  # iCaRL reads the classes from here
            made.strategy.train(experience, eval_streams=[])
            network = made.strategy.model.eval()
            predicted = []
            hits = []
            for inputs, labels in task.test[: index + 1]:
                with torch.no_grad():
                    predicted.append(network(inputs.flatten(1)).argmax(1))
                hits.append(int((predicted[-1] == labels).sum()))
            correct.append(hits)
    total = [len(labels) for _, labels in task.test]
    return Outcome(correct, total, torch.cat(predicted).tolist(), made.steps.steps, made.held())


def _dataset(inputs: Tensor, labels: Tensor) -> Any:
    return _make_taskaware_tensor_classification_dataset(inputs.flatten(1), labels, task_labels=0)
