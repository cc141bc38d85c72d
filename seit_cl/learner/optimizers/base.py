"""The contract of an optimiser plugin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch


@dataclass(frozen=True)
class OptimizerContext:
    """The input of an optimiser plugin beside its options.

    Args:
        groups: parameter groups for torch, each with its own `weight_decay`: 0 for biases, norms
            and what the model exempts.
        learning_rate: the peak learning rate.
        weight_decay: of the other parameters.
    """

    groups: Sequence[dict[str, Any]]
    learning_rate: float
    weight_decay: float


class OptimizerPlugin(Protocol):
    """The interface of an optimiser: one file in this folder, which names its class OPTIMIZER.

    Steps run as CUDA graphs where the optimiser is one of torch's fused ones (`fused=True`): those
    read the learning rate from a tensor.

    Attributes:
        source: its publication, in a few words.
        Options: frozen dataclass of its hyperparameters other than learning rate and weight decay.
    """

    source: ClassVar[str]
    Options: ClassVar[type[Any]]

    @classmethod
    def build(cls, options: Any, context: OptimizerContext) -> torch.optim.Optimizer:
        """Build the optimiser.

        Args:
            options: an instance of `Options`.
            context: its parameters, learning rate and weight decay.

        Raises:
            UserError: options that contradict one another.
        """
