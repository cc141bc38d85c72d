"""The contract of a tokenizer: image -> grid of code indices, with the codebook it owns; and of a file that brings one kind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.specs import NoOptions
from seit_cl.formats.entropy.model import EntropyModel


class Tokenizer(Protocol):
    """An image tokenizer.

    Attributes:
        codebook: (G, K, D) float32.
        combine: how a position's G vectors become its embedding.
        stride: pixels per token side.
        identity: changes whenever the weights or the preprocessing change.
        codec_bytes: bytes of the weights and codebook that encoding, decoding and embedding need.
        decodes: whether it gives images back.
        card: what is known of it, for people: data, command, figures, source.
    """

    codebook: Tensor
    combine: Literal["sum", "concat"]
    stride: int
    identity: str
    codec_bytes: int
    decodes: bool
    card: dict[str, str]

    @property
    def mirror(self) -> Tensor | None:
        """(G, K) int64, the code that each code becomes where an image is mirrored left to right, the grid being mirrored with
        it; None where mirror images have no such codes."""

    @property
    def entropy_model(self) -> Callable[[], EntropyModel]:
        """Function that reads the entropy model of its codes; it raises a UserError where there is none."""

    def to(self, device: torch.device | str) -> Self:
        """Move to a device, in place."""

    def encode(self, images: Tensor) -> Tensor:
        """Tokens (B, G, H, W) int16 of images (B, 3, S, S) uint8, S divisible by stride; float32 arithmetic.

        Raises:
            UserError: S is not divisible by stride.
        """

    def decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of tokens (B, G, H, W).

        Raises:
            UserError: it does not decode.
        """


class TokenizerKind(Protocol):
    """The shape of a file's TOKENIZER in tokenizers/: a plugin that opens one kind of tokenizer.

    Attributes:
        about: one line for the list of tokenizers: the model and its paper.
        source: its paper, e.g. "Esser et al., CVPR 2021".
        Options: frozen dataclass of its options; a checkpoint's path is its argument.
    """

    about: ClassVar[str]
    source: ClassVar[str]
    Options: ClassVar[type[Any]] = NoOptions

    @classmethod
    def build(cls, options: Any, context: None = None) -> Tokenizer:
        """Open the tokenizer, on the CPU.

        Raises:
            UserError: a source or an option that the kind refuses.
        """


def identity_of(words: str, tensors: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits that change with any weight or its name.

    Args:
        words: what else must change it: preprocessing, kind, configuration.
        tensors: weights by name.
    """
    digest = hashlib.sha256(words.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def check_side(images: Tensor, stride: int) -> None:
    """Refuse images (B, 3, H, W) that a tokenizer's stride in pixels does not divide.

    Raises:
        UserError: the images are not square, or their side is not a multiple of the stride.
    """
    height, side = images.shape[-2:]
    if height != side or side % stride or side == 0:
        fits = max(stride, min(height, side) // stride * stride)
        raise UserError(
            f"images of {height} x {side} px: the side of a square image must be a multiple of {stride}; "
            f"choose --resolution {fits}"
        )
