"""Contracts between the learner and its surroundings: augmentation, memory, and its strategies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

from seit_cl.core.ranks import Ranks
from seit_cl.learner.augment.draws import Layout, Numbers
from seit_cl.learner.settings import Optimisation


class Augment(Protocol):
    """From raw tokens (B, G, H, W) or pixels (B, 3, S, S) to inputs (B, D, h, w) float32.

    A pure function: it draws nothing and reads nothing back from the device.
    """

    def layout(self, shape: torch.Size) -> Layout:
        """The random numbers that a raw sample of this shape needs."""

    def __call__(self, raw: Tensor, numbers: Numbers | None = None) -> Tensor:
        """Augment with random numbers, or crop the centre without; on the raw data's device."""

    def mirrored(self, raw: Tensor) -> Tensor | None:
        """Raw data mirrored left to right; None where training mirrors none."""


class Exemplars(Protocol):
    """A batch of exemplars (seit_cl.memory.Exemplars)."""

    @property
    def inputs(self) -> Tensor:
        """Raw data (B, ...)."""

    @property
    def labels(self) -> Tensor:
        """(B,) int64."""

    @property
    def ids(self) -> Tensor:
        """(B,) int64, positions in the memory."""

    @property
    def extras(self) -> dict[str, Tensor]:
        """Values stored by the strategy with each exemplar, (B, *shape) by name."""

    def __getitem__(self, rows: Tensor) -> Exemplars: ...


class Memory(Protocol):
    """The part of a replay memory that training reads (seit_cl.memory.buffer.ByteBudgetBuffer)."""

    def __len__(self) -> int: ...

    def select(self, n: int, generator: torch.Generator) -> tuple[Exemplars, Tensor | None]:
        """Exemplars drawn uniformly: all of them and the rows drawn, or those drawn and None."""

    def sample(self, n: int, generator: torch.Generator) -> Exemplars:
        """Exemplars drawn uniformly."""

    def by_ids(self, ids: Tensor) -> Exemplars:
        """The exemplars of ids (B,), each in 0..N-1."""


class FlopCounts(Protocol):
    """A count of a learner's FLOPs (seit_cl.learner.step_flops.LearnerFlops)."""

    def counting_step(self, step: Any) -> AbstractContextManager[None]:
        """Add those of a training step, a `RawStep`, which the block takes."""

    def add(self, kind: str, flops: int) -> None:
        """Add FLOPs to a kind."""

    def add_test(self, samples: int) -> None:
        """Add those of a test of that many samples."""

    def counting(
        self, kind: str, key: Hashable = None, samples: int = 0
    ) -> AbstractContextManager[None]:
        """Add those of the block to a kind (`seit_cl.core.flops.FlopMeter.counting`)."""

    def counting_part(self, own: int, samples: int) -> AbstractContextManager[None]:
        """Count the block's as those of more samples (`FlopMeter.counting_part`)."""


class LearnerView(Protocol):
    """The part of a learner that strategies use; seit_cl.learner.learner.Learner is one.

    Attributes:
        model: the network in training, a `seit_cl.models.Network`.
        device: of the model and of batches.
        optimisation: its settings, gradient clipping and precision among them.
        augment: from raw data to the model's inputs.
        grow_head: True if logits are restricted to the classes seen.
        classes_seen: number of classes seen, the current experience included.
        classes_seen_before: the same without the current experience.
        ranks: processes of the run, which divide the passes through the model.
        most_at_once: samples that are in memory at once outside of training steps, 512 but for
            large images.
    """

    model: Any
    device: torch.device
    optimisation: Optimisation
    augment: Augment
    grow_head: bool
    classes_seen: int
    classes_seen_before: int
    ranks: Ranks
    most_at_once: int

    @property
    def memory(self) -> Memory | None:
        """The replay memory; None in a run without one."""

    @property
    def experiences_finished(self) -> int:
        """Number of experiences trained on before the current one."""

    @property
    def fresh_count(self) -> int:
        """Number of samples of the current experience."""

    def fresh_samples(
        self, rows: Tensor | None = None, batch: int = 512
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Raw data (B, ...) and labels (B,) of the experience's samples, batch by batch."""

    def logits(self, inputs: Tensor, network: Callable[[Tensor], Tensor], precision: str) -> Tensor:
        """Logits (B, classes seen) float32 of a network for inputs (B, D, h, w)."""

    def features(self, inputs: Tensor, precision: str) -> Tensor:
        """Features (B, width) float32 in front of the head for inputs (B, D, h, w)."""

    def raw_logits(self, raw: Tensor, batch: int = 512) -> Tensor:
        """Logits (N, classes seen) float32, on the device, of raw data (N, ...)."""

    def raw_features(self, raw: Tensor, batch: int = 512) -> Tensor:
        """Features (N, width) float32, on the CPU, of raw data (N, ...)."""

    def reset_model(self) -> None:
        """Give the model new weights, as before the first experience."""

    def stop_training(self) -> None:
        """Take no more steps in this experience."""
