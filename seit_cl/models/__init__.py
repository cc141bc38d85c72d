"""Models: the learner's network, chosen by --model, and the contract that every network keeps.

One file for each model; private files hold what several share. The contract is here and not in a
file named base, as in the packages of other plugins, because "base" is a size of the ViT. Nothing
in this file imports torch, so that commands can list models without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from seit_cl.core import plugins
from seit_cl.core.errors import UserError, nearest
from seit_cl.core.lazy import lazy_names
from seit_cl.core.specs import Spec, canonical_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = [
    "Model",
    "ModelContext",
    "Network",
    "TrainedPart",
    "build_model",
    "canonical_model",
    "check_model_name",
    "check_stride",
    "crop_of",
    "drawn_from",
    "hand_over",
    "wrap_model",
]

# Functions that need torch, which their first use imports, by their file.
_WITH_TORCH = {"drawn_from": "_drawn", "hand_over": "_handed", "wrap_model": "_split"}
__getattr__ = lazy_names(__name__, _WITH_TORCH)

LARGE = 256  # px; from here on a network sees the usual 7/8 of an image's side


@dataclass(frozen=True)
class ModelContext:
    """The data that a run gives its network.

    Args:
        modality: "tokens" for embedded token grids, "pixels" for normalised images.
        channels: D of the embeddings, 3 for pixels.
        side: of the data, in token positions or pixels; the length of a sequence.
        sequence: True for tokens without places in the image, embeddings (B, D, 1, side).
    """

    modality: Literal["tokens", "pixels"]
    channels: int
    side: int
    sequence: bool = False

    @property
    def text(self) -> str:
        """The data in words, for messages, e.g. "an 8 x 8 grid of tokens"."""
        if self.sequence:
            return f"a sequence of {self.side} tokens"
        if self.modality == "tokens":
            return f"a token grid of {self.side} x {self.side}"
        return f"images of {self.side} x {self.side} px"


class Network(Protocol):
    """A network with a linear head: an nn.Module with two more members.

    For inputs x, `network(x)` equals `network.head(network.features(x))`. Strategies read and
    change `head.weight`, and classify by features.

    Attributes:
        head: from features (B, width) to logits (B, C), with a `weight` (C, width), as nn.Linear.
    """

    head: nn.Module

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits (B, C) of inputs (B, D, h, w)."""

    def features(self, inputs: Tensor) -> Tensor:
        """Features (B, width) in front of the head for inputs (B, D, h, w)."""


class Model(Protocol):
    """A model for the data of a run, as a plugin's `build(options, context)` returns it.

    A plugin is a class with `Options`, `source` and `build` (`seit_cl.core.plugins.Plugin`); its
    context is a ModelContext.

    Attributes:
        source: where its architecture comes from, in a few words.
        crop: side of the network's input; augmentation crops the data to it.
        takes_sequences: True where it takes a sequence (B, D, 1, N) of tokens too; False for a
            model that does not say.
    """

    source: ClassVar[str]
    crop: int

    def new_network(self, classes: int, generator: torch.Generator) -> nn.Module:
        """Make a network with new weights, on the CPU; a `Network`.

        Args:
            classes: width C of its head.
            generator: on the CPU; the only source of randomness.
        """


@dataclass(frozen=True)
class TrainedPart:
    """The part of a network that is trained besides its head, as --train names it.

    Args:
        kind: "head" for nothing else, "norm" for normalisation layers, "last" for the last blocks,
            "all" for everything.
        blocks: number of blocks of "last".
    """

    kind: str
    blocks: int = 0

    @classmethod
    def parse(cls, text: str) -> TrainedPart:
        """Read "head", "norm", "last:N" or "all".

        Raises:
            UserError: another text.
        """
        kind, _, number = text.partition(":")
        if text in ("head", "norm", "all"):
            return cls(kind)
        if kind == "last" and number.isdecimal() and int(number) > 0:
            return cls(kind, int(number))
        raise UserError(f"--train {text}: must be head, norm, all, or last:N with N of 1 or more")


def build_model(spec: str, context: ModelContext) -> Model:
    """Build the model of a spec, e.g. "micro" or "timm:resnet18", for the data of a run.

    Raises:
        UserError: an unknown model or option, or one that does not fit the data.
    """
    parsed = Spec.parse(spec)
    plugin = _plugin(parsed)
    if context.sequence and not getattr(plugin, "takes_sequences", False):
        raise UserError(
            f"--model {spec}: takes grids and the data are {context.text}, which have no places "
            "in the image; use a ViT (micro, tiny, small, base)"
        )
    model: Model = plugin.build(parsed.fill(plugin.Options), context)
    return model


def canonical_model(spec: str) -> str:
    """Write the spec of a model without options that have their defaults.

    Raises:
        UserError: an unknown model or option.
    """
    parsed = Spec.parse(spec)
    options: Any = parsed.fill(_plugin(parsed).Options)
    return canonical_text(parsed.key, options, only_changed=True)


def check_model_name(spec: str) -> None:
    """Refuse the spec of an unknown model, without importing any model.

    A Python class, "module.Class", is not looked for.

    Raises:
        UserError: the message lists the nearest names.
    """
    known = plugins.names("model")
    key = Spec.parse(spec).key
    if key not in known and "." not in key:
        raise UserError(
            f"--model {spec}: no such model; {nearest(key, known)}; timm's are timm:NAME"
        )


def _plugin(spec: Spec) -> Any:
    """Load the plugin of a model.

    Raises:
        UserError: an unknown name.
    """
    check_model_name(str(spec))
    return plugins.load("model", spec.name)


def crop_of(context: ModelContext) -> int:
    """Side of the input of a network that takes any size.

    It sees all of the data, except for 7/8 of the side of large images (224 of 256 px).
    """
    if context.modality == "pixels" and context.side >= LARGE:
        return context.side * 7 // 8
    return context.side


def check_stride(name: str, stride: int, context: ModelContext) -> None:
    """Refuse data that a network's strides would shrink to less than one position.

    Args:
        name: of the model, for messages.
        stride: product of all its strides.
        context: the run's data.

    Raises:
        UserError: naming the model and the data.
    """
    if context.side < stride:
        raise UserError(
            f"--model {name}: its strides make one position of {stride} x {stride}, which leaves "
            f"nothing of {context.text}; use a ViT (micro, tiny, small, base) or a larger "
            "--resolution"
        )
