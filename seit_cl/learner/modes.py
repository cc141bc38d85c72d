"""Training and evaluation mode of a network of which parts may be frozen."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def set_training(network: nn.Module, training: bool = True) -> None:
    """Set the mode of a network; frozen batch normalisation stays in evaluation mode.

    Its running statistics then belong to the frozen part: they are used, and do not change.

    Args:
        network: changed in place.
        training: False for evaluation.
    """
    network.train(training)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            weights = list(module.parameters())
            if weights and not any(weight.requires_grad for weight in weights):
                module.eval()
