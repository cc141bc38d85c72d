"""Training batches on the learner's device: fresh samples, and exemplars from the memory.

A step begins as rows of data on the device and random numbers (`RawStep`). Everything after that is
a pure function of them (`BatchMaker.prepare`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from seit_cl.core.rng import Generators
from seit_cl.learner.augment.cutmix import CUTMIX_LAYOUT, MIX_COLUMN, cutmix, finish_draws
from seit_cl.learner.augment.draws import Draws, Layout
from seit_cl.learner.interfaces import Augment, Exemplars


@dataclass(frozen=True)
class Rows:
    """Samples as rows of data on the learner's device.

    Args:
        source: the data.
        rows: (B,) int64 on the device; None for all of the data.
    """

    source: Exemplars
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.source.labels) if self.rows is None else len(self.rows)

    @property
    def inputs(self) -> Tensor:
        """Raw data (B, ...)."""
        return self._gathered(self.source.inputs)

    @property
    def labels(self) -> Tensor:
        """Labels (B,)."""
        return self._gathered(self.source.labels)

    @property
    def ids(self) -> Tensor:
        """Ids (B,)."""
        return self._gathered(self.source.ids)

    @property
    def extras(self) -> dict[str, Tensor]:
        """Values stored by the strategy, (B, *shape) by name."""
        return {name: self._gathered(values) for name, values in self.source.extras.items()}

    def _gathered(self, values: Tensor) -> Tensor:
        return values if self.rows is None else values[self.rows]


@dataclass(frozen=True)
class RawStep:
    """Samples of a step before their augmentation, and the random numbers that it takes.

    Args:
        fresh: B fresh samples.
        replay: R exemplars, or None.
        draws: of the B + R samples.
        fresh_ids: (B,) train set indices of the fresh samples, on the CPU, so that reading them
            never waits for the device; None where they are not known.
    """

    fresh: Rows
    replay: Rows | None
    draws: Draws
    fresh_ids: Tensor | None = None

    @property
    def parts(self) -> list[Rows]:
        """The fresh samples, then the exemplars if there are any."""
        return [self.fresh] if self.replay is None else [self.fresh, self.replay]


@dataclass(frozen=True)
class Batch:
    """A training batch.

    Args:
        inputs: (B, D, h, w) float32 embeddings or normalised pixels, augmented.
        labels: (B,) int64.
        samples: the samples before augmentation.
        targets: (B, C) soft targets where CutMix may mix the batch.
        extras: values stored by the strategy with each exemplar, (B, *shape) by name.
    """

    inputs: Tensor
    labels: Tensor
    samples: Rows
    targets: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def ids(self) -> Tensor:
        """(B,) int64, train set indices of fresh samples, memory positions of exemplars."""
        return self.samples.ids

    def forwarded(self, logits: Tensor, features: Tensor | None = None) -> ForwardedBatch:
        """The batch together with the model's outputs for it."""
        return ForwardedBatch(
            self.inputs,
            self.labels,
            self.samples,
            self.targets,
            self.extras,
            logits=logits,
            features=features,
        )


@dataclass(frozen=True, kw_only=True)
class ForwardedBatch(Batch):
    """A batch with the model's outputs; a strategy's loss is computed from it.

    Args:
        logits: (B, classes seen) float32.
        features: (B, width) float32 in front of the head; None unless the strategy uses features.
        among: (B, classes seen) bool, the classes that compete for each sample; None: all.
    """

    logits: Tensor
    features: Tensor | None = None
    among: Tensor | None = None


@dataclass(frozen=True)
class StepBatches:
    """The training batches of a step.

    Args:
        inputs: (B + R, D, h, w) of fresh samples, then exemplars.
        labels: (B + R,) int64.
        fresh: B fresh samples.
        replay: R exemplars, or None.
    """

    inputs: Tensor
    labels: Tensor
    fresh: Batch
    replay: Batch | None

    def without_replay(self) -> StepBatches:
        """The fresh samples alone."""
        return StepBatches(self.fresh.inputs, self.fresh.labels, self.fresh, None)

    def with_outputs(
        self, logits: Tensor, features: Tensor | None
    ) -> tuple[ForwardedBatch, ForwardedBatch | None]:
        """Attach the outputs of one forward pass of all inputs to the two batches.

        Args:
            logits: (B + R, classes seen).
            features: (B + R, width), or None.
        """
        if self.replay is None:
            return self.fresh.forwarded(logits, features), None
        # The gradient of one split is one operation, that of two slices is three.
        counts = [len(self.fresh.labels), len(self.replay.labels)]
        fresh_logits, replay_logits = logits.split(counts)
        fresh_features, replay_features = None, None
        if features is not None:
            fresh_features, replay_features = features.split(counts)
        return (
            self.fresh.forwarded(fresh_logits, fresh_features),
            self.replay.forwarded(replay_logits, replay_features),
        )


@dataclass
class BatchMaker:
    """Maker of training batches from raw data: augmentation, then CutMix.

    Args:
        augment: from raw data to inputs.
        classes: number of classes C.
        cutmix_p: probability that a batch is mixed; 0 for strategies that need unmixed batches.
        cutmix_alpha: of the Beta distribution.
        device: of the batches.
        generators: the run's.
        compiled_for: numbers of samples of the steps whose augmentation is compiled, e.g. (fresh
            samples, exemplars); None to compile none. Compiling takes long, so that only full steps
            are worth it.
        reads_draws: look at the random numbers to skip CutMix where it changes nothing, with the
            same result. For a CPU, where looking costs nothing, and steps that are not recorded.
    """

    augment: Augment
    classes: int
    cutmix_p: float
    cutmix_alpha: float
    device: torch.device
    generators: Generators
    compiled_for: tuple[int, ...] | None = None
    reads_draws: bool = False

    def layout(self, shape: torch.Size) -> Layout:
        """The random numbers that a raw sample of this shape needs."""
        return CUTMIX_LAYOUT + self.augment.layout(shape)

    def draws(self, shape: torch.Size, parts: Sequence[tuple[int, bool]]) -> Draws:
        """Draw the random numbers of a step, on the device.

        Args:
            shape: of a raw sample.
            parts: number of samples of each part, and whether its numbers come from the generator
                for exemplars instead of that for fresh samples.
        """
        with_generators = []
        for count, is_replay in parts:
            purpose = "replay augmentation" if is_replay else "augmentation"
            with_generators.append((count, self.generators[purpose]))
        draws = self.layout(shape).draw(with_generators)
        if self.cutmix_p > 0.0:
            finish_draws(draws, self.cutmix_alpha, with_generators)
        return draws

    def prepare(self, step: RawStep) -> StepBatches:
        """Gather, augment and mix the samples of a step, all of them in one pass.

        It draws nothing: the result depends on the raw step alone.
        """
        counts = [len(part) for part in step.parts]
        labels = _joined([part.labels for part in step.parts])
        raw = _joined([part.inputs for part in step.parts])
        augmented = self._compiled if tuple(counts) == self.compiled_for else self.augmented
        mixed = self._mixed(step.draws, counts)
        inputs, targets = augmented(raw, labels, step.draws, counts, mixed)

        batches = []
        start = 0
        for count, part in zip(counts, step.parts, strict=True):
            rows = slice(start, start + count)
            part_targets = None if targets is None else targets[rows]
            batches.append(Batch(inputs[rows], labels[rows], part, part_targets, part.extras))
            start += count
        return StepBatches(inputs, labels, batches[0], batches[1] if len(batches) == 2 else None)

    @cached_property
    def _compiled(self) -> Callable[..., tuple[Tensor, Tensor | None]]:
        """`augmented`, compiled on its first call."""
        return torch.compile(self.augmented, dynamic=False)

    def augmented(
        self,
        raw: Tensor,
        labels: Tensor,
        draws: Draws,
        parts: Sequence[int],
        mixed: Sequence[bool],
    ) -> tuple[Tensor, Tensor | None]:
        """Augment and mix samples.

        Args:
            raw: (B, ...).
            labels: (B,) int64.
            draws: their random numbers.
            parts: number of samples of each part; samples mix within theirs.
            mixed: for each part, False if CutMix leaves it as it is.

        Returns:
            Inputs (B, D, h, w), and soft targets (B, C) where CutMix may mix them.
        """
        numbers = self.layout(raw.shape[1:]).numbers(draws)
        inputs = self.augment(raw, numbers)
        targets = None
        if self.cutmix_p > 0.0:
            inputs, targets = cutmix(
                inputs, labels, self.classes, self.cutmix_p, numbers, parts, mixed
            )
        # Channels last: the stem's convolution runs twice as fast in bf16 on a CPU, and on CUDA it
        # needs no copy.
        return inputs.contiguous(memory_format=torch.channels_last), targets

    def _mixed(self, draws: Draws, parts: Sequence[int]) -> list[bool]:
        """For each part, False if CutMix surely leaves it as it is."""
        if not self.reads_draws:
            return [True] * len(parts)
        decisions = draws.uniform[:, MIX_COLUMN].tolist()
        mixed = []
        start = 0
        for count in parts:
            mixed.append(decisions[start] < self.cutmix_p)
            start += count
        return mixed


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate tensors; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
