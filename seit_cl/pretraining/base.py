"""The contract of a kind of masked modelling: the learner's inputs, and what is predicted."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.augment.draws import Numbers
from seit_cl.models._vit import StemAdapter


class Examples(NamedTuple):
    """A batch of a masked learner.

    Args:
        inputs: (B, D, h, w) float32.
        targets: (B, N, T), what is to be predicted of each patch.
    """

    inputs: Tensor
    targets: Tensor


class MaskedKind(Protocol):
    """Masked modelling of one modality; a file of this package for each.

    Attributes:
        objective: in a few words, for the metadata of the weights.
        outputs: values that the network predicts for a patch.
    """

    objective: ClassVar[str]
    outputs: int

    def __init__(
        self, config: RunConfig, data: RunData, stem: StemAdapter, device: torch.device
    ) -> None:
        """Build it for the data of a run and the stem of its network."""

    def load(self) -> None:
        """Load all training data, so that bad data shows before training."""

    def raw(self, rows: Tensor) -> Tensor:
        """Raw data (B, ...) of training samples (B,)."""

    def draw(self, raw: Tensor, generator: torch.Generator) -> Numbers:
        """Draw the random numbers for a batch of raw data, on the generator's device."""

    def examples(self, raw: Tensor, numbers: Numbers) -> Examples:
        """Augment raw data, as a pure function of the numbers of `draw`."""

    def loss(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Mean loss, a scalar.

        Args:
            predicted: (M, outputs) float32 for M masked patches.
            targets: (M, T) of the same patches.
        """
