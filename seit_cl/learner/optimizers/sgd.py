"""sgd: stochastic gradient descent, with momentum where asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from seit_cl.core.options import NOT_NEGATIVE, ranged
from seit_cl.learner.optimizers.base import OptimizerContext


@dataclass(frozen=True)
class SGDOptions:
    """Options of sgd, with torch's defaults: plain SGD.

    Args:
        momentum: decay rate of the sum of gradients; 0: no momentum.
        dampening: of a gradient that is added to the sum.
        nesterov: Nesterov's momentum, which needs momentum and no dampening.
    """

    momentum: float = ranged(0.0, NOT_NEGATIVE)
    dampening: float = ranged(0.0, NOT_NEGATIVE)
    nesterov: bool = False


class SGD:
    """torch's fused SGD."""

    source: ClassVar[str] = "Sutskever et al., ICML 2013 (momentum)"
    Options: ClassVar[type[SGDOptions]] = SGDOptions

    @classmethod
    def build(cls, options: SGDOptions, context: OptimizerContext) -> torch.optim.Optimizer:
        """Build the optimiser."""
        return torch.optim.SGD(
            context.groups,
            lr=context.learning_rate,
            momentum=options.momentum,
            dampening=options.dampening,
            nesterov=options.nesterov,
            fused=True,
        )


OPTIMIZER = SGD
