"""Optimisers: one file each, found by name, and every further one that timm has."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import param_groups_weight_decay
from torch import nn

from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.specs import Spec
from seit_cl.learner.optimizers._timm import TimmOptimizer
from seit_cl.learner.optimizers.base import OptimizerContext

__all__ = ["OptimizerContext", "build_optimizer"]


def build_optimizer(
    spec: str, model: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Build the optimiser of a model.

    Args:
        spec: a file of this folder or a name of timm's, with options, e.g.
            "sgd:momentum=0.9,nesterov=true" or "lamb".
        model: its parameters that require gradients are optimised; its `no_weight_decay()`, where
            it has one, names parameters without weight decay.
        learning_rate: the peak learning rate.
        weight_decay: of all parameters but biases, norms and those.

    Raises:
        UserError: an unknown optimiser or option, or values that the optimiser refuses.
    """
    parsed = Spec.parse(spec)
    plugin: Any
    if parsed.key in plugins.names("optimizer"):
        plugin = plugins.load("optimizer", parsed.name)
    else:
        plugin = TimmOptimizer(parsed.name)
    exempt: Any = getattr(model, "no_weight_decay", tuple)()
    groups = param_groups_weight_decay(model, weight_decay, no_weight_decay_list=exempt)
    context = OptimizerContext(groups, learning_rate, weight_decay)
    try:
        optimizer: torch.optim.Optimizer = plugin.build(parsed.fill(plugin.Options), context)
    except (ValueError, TypeError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--optimizer {spec}: {reason}; give other options") from error
    return optimizer
