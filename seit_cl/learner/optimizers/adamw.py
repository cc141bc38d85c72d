"""adamw: Adam with decoupled weight decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from seit_cl.core.errors import UserError
from seit_cl.core.options import NOT_NEGATIVE, ranged
from seit_cl.core.specs import NumberList
from seit_cl.learner.optimizers.base import OptimizerContext

_BETAS = NumberList("0.9+0.999")


@dataclass(frozen=True)
class AdamWOptions:
    """Options of adamw, with torch's defaults.

    Args:
        betas: decay rates of the averages of the gradient and of its square.
        eps: added to the denominator.
    """

    betas: NumberList = _BETAS
    eps: float = ranged(1e-8, NOT_NEGATIVE)


class AdamW:
    """torch's fused AdamW."""

    source: ClassVar[str] = "Loshchilov and Hutter, ICLR 2019"
    Options: ClassVar[type[AdamWOptions]] = AdamWOptions

    @classmethod
    def build(cls, options: AdamWOptions, context: OptimizerContext) -> torch.optim.Optimizer:
        """Build the optimiser.

        Raises:
            UserError: other than two betas.
        """
        if len(options.betas) != 2:
            raise UserError(
                f"--optimizer adamw:betas={options.betas}: must be two, e.g. betas=0.9+0.999"
            )
        first, second = options.betas
        return torch.optim.AdamW(
            context.groups,
            lr=context.learning_rate,
            betas=(first, second),
            eps=options.eps,
            fused=True,
        )


OPTIMIZER = AdamW
