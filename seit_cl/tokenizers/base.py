"""The contract of a tokenizer, image -> grid of code indices, and of a plugin that opens one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor

from seit_cl.core.digests import damaged
from seit_cl.core.errors import UserError
from seit_cl.core.notes import note_no_digest
from seit_cl.core.specs import NoOptions
from seit_cl.data.token_file import TokenMetadata
from seit_cl.formats.entropy.model import EntropyModel


class Tokenizer(Protocol):
    """An image tokenizer with its codebook.

    Dimensions: B batch, S image side in pixels, H x W token grid, G codes per position, K codes,
    D code dimension.

    Attributes:
        codebook: (G, K, D) float32.
        combine: operation that makes a position's embedding of its G vectors.
        stride: pixels per token side.
        row: tokens that stand for stride x stride px, side by side: 1 in a grid; N where an image
            of that side is a sequence (1, N), whose tokens have no places in the image.
        identity: changes whenever the weights or the preprocessing change.
        codec_bytes: bytes of the weights and codebook that encoding, decoding and embedding need.
        decodes: True where tokens can be decoded to images.
        card: model card: data, command, figures, source.
    """

    codebook: Tensor
    combine: Literal["sum", "concat"]
    stride: int
    row: int
    identity: str
    codec_bytes: int
    decodes: bool
    card: dict[str, str]

    @property
    def mirror(self) -> Tensor | None:
        """(G, K) int64, the code that replaces each code when an image is mirrored left to right.

        The grid is mirrored as well. None where mirrored images have no such codes.
        """

    @property
    def entropy_model(self) -> Callable[[], EntropyModel]:
        """Function that reads the entropy model of its codes; a UserError where there is none."""

    def to(self, device: torch.device | str) -> Self:
        """Move to a device, in place."""

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, S, S) uint8 to tokens (B, G, H, W) int16, in float32 arithmetic.

        Raises:
            UserError: S is not divisible by the stride.
        """

    def decode(self, tokens: Tensor) -> Tensor:
        """Decode tokens (B, G, H, W) to images (B, 3, S, S) uint8.

        Codes of further levels may be -1: exemplars that lack them.

        Raises:
            UserError: the tokenizer does not decode.
        """


class TokenizerKind(Protocol):
    """The shape of a plugin in tokenizers/, TOKENIZER, which opens one kind of tokenizer.

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


def describe_tokens(
    tokenizer: Tokenizer, name: str, classes: list[str], notes: dict[str, str]
) -> TokenMetadata:
    """Description of a token file with tokens of this tokenizer.

    Args:
        tokenizer: has encoded the images.
        name: of the dataset.
        classes: C names; a label is a position in this list.
        notes: further information, for people.
    """
    return TokenMetadata(
        name,
        classes,
        tokenizer.codebook.cpu(),
        tokenizer.combine,
        tokenizer.stride,
        tokenizer.identity,
        tokenizer.codec_bytes,
        None if tokenizer.mirror is None else tokenizer.mirror.cpu(),
        notes=notes,
    )


def identity_of(description: str, tensors: Mapping[str, Tensor]) -> str:
    """Digest weights and a description to 16 hexadecimal digits.

    Args:
        description: everything else that fixes the codes: preprocessing, kind, configuration.
        tensors: weights by name.
    """
    digest = hashlib.sha256(description.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


DAMAGED = "get the file again, or make it again with python -m seit_cl.tokenize"


def check_identity(
    path: Path | str, metadata: Mapping[str, str], identity: str, has_digest: bool
) -> None:
    """Compare the identity that a tokenizer file states with that of its contents.

    Args:
        path: the file.
        metadata: of the file; one of another project states none.
        identity: of the tokenizer that was read.
        has_digest: False for a file of an earlier version, which is noted.

    Raises:
        Damaged: they differ.
    """
    stated = metadata.get("identity")
    if stated is None:
        return
    if stated != identity:
        raise damaged(path, DAMAGED)
    if not has_digest:
        note_no_digest(path)


def unreadable(path: Path, error: Exception) -> UserError:
    """Make the error for a tokenizer file that is missing or cannot be read."""
    if isinstance(error, FileNotFoundError):
        return UserError(
            f"{path}: no such tokenizer file; correct the path, or name a kind (python -m "
            "seit_cl.tokenize list)"
        )
    return UserError(
        f"{path}: not a readable tokenizer file ({type(error).__name__}); train one with "
        "python -m seit_cl.tokenize train --data-root DIR --out FILE.safetensors"
    )


def check_side(images: Tensor, stride: int) -> None:
    """Refuse images (B, 3, H, W) that are not square or that the stride in pixels does not divide.

    Raises:
        UserError: naming the nearest side that fits.
    """
    height, side = images.shape[-2:]
    if height != side or side % stride or side == 0:
        nearest = max(stride, min(height, side) // stride * stride)
        raise UserError(
            f"images of {height} x {side} px: the side of a square image must be a multiple of "
            f"{stride}; choose --resolution {nearest}"
        )
