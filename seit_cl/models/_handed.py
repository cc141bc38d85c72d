"""Networks handed over from Python, which runs find by a name."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from seit_cl.core.errors import UserError
from seit_cl.models import ModelContext, crop_of
from seit_cl.models._drawn import drawn_from
from seit_cl.models._split import PROBES, check_network, check_split, wrap_model

ModelSource = nn.Module | Callable[[ModelContext, int], nn.Module]


@dataclass(frozen=True)
class _Handed:
    """A source of networks.

    Args:
        source: see `hand_over`.
        head: name of its linear head; "" to look for it.
    """

    source: ModelSource
    head: str


_SOURCES: dict[str, _Handed] = {}


def hand_over(source: ModelSource, head: str = "", name: str = "") -> str:
    """Make a network of Python's known to the runs of this process.

    Args:
        source: a module, whose weights are those that a run starts from, or a function that makes
            one: it is called with the ModelContext and the number of classes C, and what it draws
            from torch's global generator depends on the run's seed. The module either has
            `features` and `head` (`seit_cl.models.Network`), or a linear layer as its last
            operation, which is replaced where its width is not C.
        head: name of that layer, e.g. "fc"; "" for the last one that the module registers.
        name: in results; "" for the name of the class or function. A second source of one name
            replaces the first, and a run is found again by the name alone: give another network
            another name, or its results another folder.

    Returns:
        The spec for `RunConfig.model`, e.g. "python:MyNetwork".
    """
    if not name:
        name = getattr(source, "__name__", type(source).__name__)
    name = re.sub(r"\W+", "_", name).strip("_") or "model"
    _SOURCES[name] = _Handed(source, head)
    return f"python:{name}"


def handed_names() -> list[str]:
    """Names handed over so far."""
    return sorted(_SOURCES)


class HandedModel:
    """A model that was handed over (`seit_cl.models.Model`); of a network for any size.

    Args:
        name: from `hand_over`.
        context: the run's data.

    Raises:
        UserError: nothing of that name was handed over in this process.
    """

    def __init__(self, name: str, context: ModelContext) -> None:
        if name not in _SOURCES:
            raise UserError(
                f"--model python:{name}: no such model in this process; hand it over first "
                "(seit_cl.hand_over), and run it without --jobs"
            )
        self.name = name
        self.handed = _SOURCES[name]
        self.context = context
        self.crop = crop_of(context)

    def new_network(self, classes: int, generator: torch.Generator) -> nn.Module:
        """Make a network, and check that it fits the run.

        Raises:
            UserError: it does not take the run's inputs, or its head is not its last operation.
        """
        network = drawn_from(generator, lambda: self._make(classes))
        check_network(network, self.name, classes, self._probe())
        return network

    def _make(self, classes: int) -> nn.Module:
        source = self.handed.source
        if isinstance(source, nn.Module):
            module = copy.deepcopy(source).cpu()
        else:
            module = source(self.context, classes)
        if _has_features(module):
            return module
        split = wrap_model(module, self.handed.head)
        try:
            check_split(module, split, self._probe())
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"model {self.name}: does not take {self.context.text} with "
                f"{self.context.channels} channels ({reason}); change the model or --resolution"
            ) from error
        return wrap_model(module, self.handed.head, classes)

    def _probe(self) -> torch.Tensor:
        side = self.crop
        generator = torch.Generator().manual_seed(0)
        return torch.randn(PROBES, self.context.channels, side, side, generator=generator)


def _has_features(module: nn.Module) -> bool:
    """True for a module with a method `features`; a part of that name, as in a VGG, is none."""
    features = getattr(module, "features", None)
    has_head = isinstance(getattr(module, "head", None), nn.Module)
    return has_head and callable(features) and not isinstance(features, nn.Module)
