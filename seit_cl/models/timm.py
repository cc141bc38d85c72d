"""Any network of timm's (Wightman, PyTorch Image Models), e.g. timm:resnet18.

Options are arguments of `timm.create_model`, such as patch_size=4 or drop_path_rate=0.1, and
weights=FILE. The head is a new linear layer with torch's usual initialisation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from seit_cl.core.specs import argument, other_options, read_literal
from seit_cl.models import ModelContext
from seit_cl.models._drawn import drawn_from
from seit_cl.models._timm import TimmNetwork
from seit_cl.models._weights import read_weights


@dataclass(frozen=True)
class TimmOptions:
    """A network of timm's.

    Args:
        name: timm's.
        weights: safetensors or torch file of its weights, whose head is left out; "" for random
            ones, or those of timm's hub with pretrained=true.
        arguments: of timm.create_model.
    """

    name: str = argument("NAME")
    weights: str = ""
    arguments: Mapping[str, Any] = other_options(read_literal)


class TimmModel:
    """Any network of timm's, with random weights or those of a file (`seit_cl.models.Model`)."""

    source = "Wightman, PyTorch Image Models"
    Options = TimmOptions

    def __init__(self, network: TimmNetwork, weights: str) -> None:
        self.network = network
        self.weights = weights
        self.crop = network.crop

    @classmethod
    def build(cls, options: TimmOptions, context: ModelContext) -> Self:
        """Build the model for the data of a run.

        Raises:
            UserError: an unknown name or argument, a network that does not fit the data, or
                weights that do not fit the network.
        """
        network = TimmNetwork(options.name, options.arguments, context)
        network.check()
        if options.weights:
            read_weights(Path(options.weights)).check(network.shapes(1), network.spec)
        return cls(network, options.weights)

    def new_network(self, classes: int, generator: torch.Generator) -> nn.Module:
        """Make a network, with the weights of a file where one is given."""
        network = drawn_from(generator, lambda: self.network.make(classes))
        if self.weights:
            read_weights(Path(self.weights)).load(network, self.network.spec)
        return network


MODEL = TimmModel
