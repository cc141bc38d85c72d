"""Data, memory and batches of a run, built from its options, as input of the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.devices import choose_device
from seit_cl.core.rng import Generators
from seit_cl.data.samples import Samples
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.experiment.build import (
    build_augment,
    build_batch_maker,
    build_memory,
    build_strategy,
    format_context,
)
from seit_cl.experiment.run_data import RunData
from seit_cl.formats.base import FormatContext
from seit_cl.learner.batches import BatchMaker, Rows
from seit_cl.memory import Exemplars
from seit_cl.memory.buffer import ByteBudgetBuffer

_BATCH = 256  # samples offered to the memory at a time


@dataclass(frozen=True)
class Workload:
    """Data of a run, cut into experiences.

    Args:
        config: the run's options.
        data: its dataset and tokenizer.
    """

    config: RunConfig
    data: RunData

    @property
    def device(self) -> torch.device:
        """Device of the learner."""
        return choose_device(self.config.device)

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return len(self.data.dataset.classes)

    def stream(self) -> Scenario:
        """Return the stream that the options describe."""
        recipe = build_recipe(self.config.scenario)
        return recipe.cut(self.data.dataset, self.config.resolved_stream())

    def labels(self) -> Tensor:
        """Return the labels (N,) int64 of the train set, in the scenario's class order."""
        return self.stream().labels(self.data.dataset.train.labels)

    def samples(self, ids: Tensor) -> Samples:
        """Return the samples of train set indices (B,)."""
        return Samples(ids, self.labels()[ids], self.data)

    def rows(self, ids: Tensor) -> Rows:
        """Return the token grids of train set indices (B,) as a step's samples, on the device."""
        samples = Exemplars(self.data.tokens(ids), self.labels()[ids], ids, {})
        return Rows(samples.to(self.device))

    def context(self) -> FormatContext:
        """Return the context from which formats are built."""
        return format_context(self.data, self.classes)

    def memory(self, ids: Tensor, device_copy: bool = True) -> ByteBudgetBuffer:
        """Build a memory and offer it samples; pixels are tokenized once, as in a run.

        Args:
            ids: (N,) train set indices of the samples.
            device_copy: False for a memory that decodes every batch.
        """
        strategy = build_strategy(self.config)
        memory = build_memory(self.config, self.data, strategy, self.classes, device_copy)
        assert memory is not None
        for part in ids.split(_BATCH):
            memory.offer(self.samples(part))
        return memory

    def batches(self) -> BatchMaker:
        """Return a run's batch maker, with generators of its own."""
        config = self.config
        augment = build_augment(config, self.data, self.device)
        generators = Generators(config.seed, self.device)
        strategy = build_strategy(config)
        return build_batch_maker(config, augment, self.classes, strategy, generators)
