"""Networks that were not made for this package, as a body that gives features and a linear head."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seit_cl.core.errors import UserError

PROBES = 2  # samples that a split network is tried on


class SplitNetwork(nn.Module):
    """A body and a linear head (`seit_cl.models.Network`).

    Args:
        body: features (B, width) from inputs (B, D, h, w).
        head: logits (B, C) from features.
        head_name: of the head in files of the original network's weights.
        scale: (D, 1, 1) that inputs are multiplied by, for a body of another normalisation than the
            run's; None to leave them.
        shift: (D, 1, 1) that is added to them.
    """

    scale: Tensor | None
    shift: Tensor | None

    def __init__(
        self,
        body: nn.Module,
        head: nn.Linear,
        head_name: str = "head",
        scale: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.head_name = head_name
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def features(self, inputs: Tensor) -> Tensor:
        """Features (B, width) of inputs (B, D, h, w)."""
        if self.scale is not None and self.shift is not None:
            inputs = inputs * self.scale + self.shift
        features: Tensor = self.body(inputs)
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, C) of inputs (B, D, h, w)."""
        logits: Tensor = self.head(self.features(inputs))
        return logits

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that the body wants without weight decay."""
        names: Callable[[], set[str]] | None = getattr(self.body, "no_weight_decay", None)
        return set() if names is None else {f"body.{name}" for name in names()}


def wrap_model(module: nn.Module, head: str = "", classes: int = 0) -> SplitNetwork:
    """Split a network in front of its last linear layer, so that every strategy can use it.

    The network is copied, and its head taken out of the copy; no hook stays behind, so that it can
    be compiled and recorded as a CUDA graph.

    Args:
        module: logits (B, C) from inputs (B, D, h, w); an nn.Linear is its last operation.
        head: name of that layer, e.g. "fc"; "" for the last nn.Linear that the module registers.
        classes: width of a new head in its place, drawn from torch's global generator; 0 or the
            width that it has keeps the head.

    Raises:
        UserError: there is no such layer.
    """
    name = head or _last_linear(module)
    body = copy.deepcopy(module)
    try:
        layer = body.get_submodule(name) if name else None
    except AttributeError:
        layer = None
    if not isinstance(layer, nn.Linear):
        kind = "no nn.Linear" if not head else f"no nn.Linear of the name {head!r}"
        raise UserError(
            f"model {type(module).__name__}: has {kind}; name its last linear layer: "
            'head="fc", or hand over a module with `features` and `head`'
        )
    parent, _, last = name.rpartition(".")
    setattr(body.get_submodule(parent), last, nn.Identity())
    if classes not in (0, layer.out_features):
        layer = nn.Linear(layer.in_features, classes, bias=layer.bias is not None)
    return SplitNetwork(body, layer, name)


def _last_linear(module: nn.Module) -> str:
    """Name of the last nn.Linear that a module registers; "" where there is none."""
    name = ""
    for candidate, layer in module.named_modules():
        if isinstance(layer, nn.Linear):
            name = candidate
    return name


@torch.no_grad()
def check_network(network: Any, name: str, classes: int, inputs: Tensor) -> None:
    """Refuse a network without the members of a `seit_cl.models.Network`, or whose head is not it.

    Args:
        network: on the CPU.
        name: for messages.
        classes: C that the run has.
        inputs: (PROBES, D, h, w), of the kind that the run gives.

    Raises:
        UserError: naming what is wrong.
    """
    modes = {part: part.training for part in network.modules()}
    network.eval()
    try:
        features = network.features(inputs)
        logits = network(inputs)
        of_features = network.head(features)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        shape = tuple(inputs.shape[1:])
        raise UserError(
            f"model {name}: does not take inputs of shape {shape} ({type(error).__name__}: "
            f"{reason}); change the model, --resolution or --learner"
        ) from error
    finally:
        for part, training in modes.items():
            part.training = training
    expected = (len(inputs), classes)
    if tuple(logits.shape) != expected:
        raise UserError(
            f"model {name}: gives outputs of shape {tuple(logits.shape)}, not {expected}; make it "
            f"for {classes} classes"
        )
    weight = getattr(network.head, "weight", None)
    if features.ndim != 2 or weight is None or weight.shape != (classes, features.shape[1]):
        raise UserError(
            f"model {name}: `features` must give (B, width) and `head.weight` be (C, width); they "
            f"are {tuple(features.shape)} and {None if weight is None else tuple(weight.shape)}"
        )
    if not torch.allclose(logits, of_features, rtol=1e-3, atol=1e-4):
        raise UserError(
            f"model {name}: its outputs are not `head` of `features`; the head must be a linear "
            "layer and the last operation"
        )


@torch.no_grad()
def check_split(module: nn.Module, split: SplitNetwork, inputs: Tensor) -> None:
    """Refuse a network whose linear layer is not its last operation.

    Args:
        module: the whole network.
        split: made of it by `wrap_model`, with its own head.
        inputs: (B, D, h, w).

    Raises:
        RuntimeError: the network does not take the inputs.
        UserError: the two give different outputs.
    """
    whole = copy.deepcopy(module).eval()(inputs)
    if not _same_outputs(split, whole, inputs):
        raise UserError(
            f"model {type(module).__name__}: {split.head_name!r} is not its last operation; remove "
            'what follows (a softmax, for example), or name another layer: head="fc"'
        )


def _same_outputs(split: SplitNetwork, whole: Any, inputs: Tensor) -> bool:
    try:
        parts = copy.deepcopy(split).eval()(inputs)
    except RuntimeError:  # what followed the layer does not take its input
        return False
    if not isinstance(whole, Tensor) or whole.shape != parts.shape:
        return False
    return torch.allclose(whole, parts, rtol=1e-3, atol=1e-4)
