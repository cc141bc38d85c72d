"""What the benchmarks measure on: a run's own data, memory and batches, built from a run's own options."""

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
from seit_cl.experiment.build import build_augment, build_memory, build_strategy, format_context
from seit_cl.experiment.run_data import RunData
from seit_cl.formats.base import FormatContext
from seit_cl.learner.batches import BatchMaker
from seit_cl.memory.buffer import ByteBudgetBuffer

_OFFER = 256  # samples encoded at a time


@dataclass(frozen=True)
class Workload:
    """The data of a run, cut into experiences.

    Args:
        config: the run's options.
        data: its dataset and tokenizer.
    """

    config: RunConfig
    data: RunData

    @property
    def device(self) -> torch.device:
        """The learner's."""
        return choose_device(self.config.device)

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return len(self.data.dataset.classes)

    def stream(self) -> Scenario:
        """The scenario of the options."""
        recipe = build_recipe(self.config.scenario)
        return recipe.cut(self.data.dataset, self.config.stream_settings)

    def labels(self) -> Tensor:
        """Labels (N,) int64 of the train set, positions in the scenario's class order."""
        return self.stream().labels(self.data.dataset.train.labels)

    def samples(self, ids: Tensor) -> Samples:
        """The samples of train set indices (B,)."""
        return Samples(ids, self.labels()[ids], self.data)

    def context(self) -> FormatContext:
        """What the formats must know."""
        return format_context(self.data, self.classes)

    def memory(self, ids: Tensor) -> ByteBudgetBuffer:
        """A memory that was offered train set indices (B,); pixels are tokenized once for the token learner, as in a run."""
        memory = build_memory(self.config, self.data, build_strategy(self.config), self.classes)
        assert memory is not None
        for part in ids.split(_OFFER):
            memory.offer(self.samples(part))
        return memory

    def batches(self) -> BatchMaker:
        """A run's batch maker, with generators of its own."""
        config = self.config
        augment = build_augment(config, self.data, self.device)
        generators = Generators(config.seed, self.device)
        return BatchMaker(
            augment, self.classes, config.cutmix_p, config.cutmix_alpha, self.device, generators
        )
