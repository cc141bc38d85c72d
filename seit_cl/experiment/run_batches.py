"""The batches of a run's experiences."""

from __future__ import annotations

from functools import cached_property, partial

import torch
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.rng import Generators
from seit_cl.data.scenario import Scenario
from seit_cl.experiment.build import build_batch_maker
from seit_cl.experiment.modality import Modality
from seit_cl.learner.batches import Batch, BatchMaker
from seit_cl.learner.interfaces import Exemplars, Memory
from seit_cl.learner.learner import Learner
from seit_cl.learner.loaders import ChooseExemplars, MemoryLoader, ReplayLoader
from seit_cl.learner.strategy import Strategy
from seit_cl.memory.buffer import ByteBudgetBuffer


class RunBatches:
    """Makes the loader of every experience; what its batches compile, they compile once.

    Args:
        config: the run's options.
        learner: takes the batches.
        strategy: of the run.
        stream: that it trains on.
        modality: gives the learner's inputs.
        labels: (N,) int64, of all training images.
        classes: number of classes of the stream.
        generators: of the run.
        records: True where steps are recorded as CUDA graphs.

    The exemplars that a strategy chooses by its model are those of the first rank: another GPU may
    round otherwise and rank two of them the other way round.
    """

    def __init__(
        self,
        config: RunConfig,
        learner: Learner,
        strategy: Strategy,
        stream: Scenario,
        modality: Modality,
        labels: Tensor,
        classes: int,
        generators: Generators,
        records: bool,
    ) -> None:
        self.config = config
        self.learner = learner
        self.strategy = strategy
        self.stream = stream
        self.modality = modality
        self.labels = labels
        self.classes = classes
        self.generators = generators
        self.records = records

    @cached_property
    def _maker(self) -> BatchMaker:
        return build_batch_maker(
            self.config,
            self.learner.augment,
            self.classes,
            self.strategy,
            self.generators,
            records=self.records,
        )

    def loader(
        self, experience: int, memory: ByteBudgetBuffer | None
    ) -> ReplayLoader | MemoryLoader:
        """The batches of an epoch of an experience, with exemplars of the memory."""
        config = self.config
        if self.strategy.trains_on_memory:
            assert memory is not None
            samples = sum(len(ids) for ids in self.stream.train[: experience + 1])
            return MemoryLoader(self._maker, memory, config.batch, config.replay_batch, samples)
        ids = self.stream.training_ids(experience)
        # Avalanche's plugins replay by themselves.
        replay_batch = 0 if self.strategy.avalanche_plugins else config.replay_batch
        return ReplayLoader(
            self._maker,
            self.modality.train_inputs,
            ids,
            self.labels[ids],
            config.batch,
            replay_batch,
            memory,
            self._choose_exemplars(),
            preload=self.learner.device.type != "cpu" or self.records,
        )

    def _choose_exemplars(self) -> ChooseExemplars | None:
        """The strategy's own choice of exemplars; None where it draws them uniformly."""
        if type(self.strategy).before_sampling is Strategy.before_sampling:
            return None
        if self.learner.ranks.several:
            return self._choose_together
        return partial(self.strategy.before_sampling, learner=self.learner)

    def _choose_together(
        self, fresh: Batch, memory: Memory, count: int, generator: torch.Generator
    ) -> Exemplars:
        """The exemplars that the strategy chooses in the first rank."""
        own = self.strategy.before_sampling(fresh, memory, count, generator, self.learner)
        return memory.by_ids(torch.tensor(self.learner.ranks.of_first(own.ids.tolist())))
