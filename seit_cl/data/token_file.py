"""Token files: a data set as token grids and labels, with the codebook that they index, in one safetensors file.

Its tensors, N images of a split, G codes a position, H x W positions, K codes of D dimensions:

    codebook (G, K, D) float32; mirror (G, K) int64 and synonyms (K, S) int16 where there are any
    train.labels, val.labels (N,) int64; train.tokens, val.tokens (N, G, H, W) int16

Its metadata are the fields of `TokenMetadata` that are no tensors, kind "tokens", and an identity over all that it holds. Tokens come
last, so that they are written as they are made; they are read from the disk as they are asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.files import atomic_file

KIND = "tokens"  # in the metadata, as tokenizer files name theirs
IDENTITY = "identity"
SPLITS = ("train", "val")
CHUNK = 4096  # images looked at together
DTYPES = {torch.int16: "I16", torch.int64: "I64", torch.float32: "F32"}


@dataclass(frozen=True)
class TokenMetadata:
    """What a token file says of its tokens.

    Args:
        name: the data set's name.
        classes: C names; a label is a position here.
        codebook: (G, K, D) float32.
        combine: how a position's G vectors become its embedding.
        stride: pixels per token side.
        tokenizer: identity of the tokenizer that made them.
        codec_bytes: bytes of its weights and codebook.
        mirror: (G, K) int64, the code that each code becomes in a mirror image; None where there are no such codes.
        synonyms: (K, S) int16, the nearest codes of each, -1 after the last; None where the source has no such table.
        notes: what else is known, for people and for writing the source's format back.
    """

    name: str
    classes: list[str]
    codebook: Tensor
    combine: Literal["sum", "concat"]
    stride: int
    tokenizer: str
    codec_bytes: int
    mirror: Tensor | None = None
    synonyms: Tensor | None = None
    notes: dict[str, str] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by their names in the file."""
        found = {name: getattr(self, name) for name in TENSORS}
        return {
            name: tensor.cpu().contiguous() for name, tensor in found.items() if tensor is not None
        }

    def header_entries(self) -> dict[str, str]:
        """The rest, as JSON under each field's name."""
        return {name: json.dumps(getattr(self, name)) for name in PLAIN} | {"kind": KIND}


TENSORS = ("codebook", "mirror", "synonyms")
PLAIN = tuple(option.name for option in fields(TokenMetadata) if option.name not in TENSORS)


@dataclass(frozen=True)
class TokenSplit:
    """One split of a token file to write.

    Args:
        labels: (N,) int64.
        tokens: blocks (n, G, H, W) int16, N images in all, made as they are taken.
    """

    labels: Tensor
    tokens: Iterable[Tensor]


def write_token_file(
    path: Path, about: TokenMetadata, grid: tuple[int, int, int], splits: Mapping[str, TokenSplit]
) -> str:
    """Write a token file, block by block, under a temporary name until it is whole.

    Args:
        path: the file.
        about: what it says of its tokens.
        grid: (G, H, W).
        splits: "train", "val" or both.

    Returns:
        The file's identity.

    Raises:
        UserError: the file cannot be written, or a code is outside the codebook.
    """
    small = about.tensors() | {
        f"{name}.labels": split.labels.long().contiguous() for name, split in splits.items()
    }
    shapes = {name: (DTYPES[tensor.dtype], tuple(tensor.shape)) for name, tensor in small.items()}
    shapes |= {
        f"{name}.tokens": ("I16", (len(split.labels), *grid)) for name, split in splits.items()
    }
    digest = hashlib.sha256(_header(shapes, about.header_entries()))
    try:
        with atomic_file(path) as file:
            file.write(_header(shapes, about.header_entries() | {IDENTITY: "0" * 16}))
            for tensor in small.values():
                _append(file, digest, tensor)
            for name, split in splits.items():
                _append_tokens(
                    file, digest, split, grid, about.codebook.shape[1], f"{path}: {name}"
                )
            identity = digest.hexdigest()[:16]
            file.seek(0)
            file.write(
                _header(shapes, about.header_entries() | {IDENTITY: identity})
            )  # as long as the one that it replaces
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); choose another file"
        ) from error
    return identity


def _header(
    shapes: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> bytes:
    """A safetensors header, with its length before it: https://huggingface.co/docs/safetensors, "Format"."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name, (dtype, shape) in shapes.items():
        end = start + int(dtype[1:]) // 8 * int(np.prod(shape, dtype=np.int64))
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _append(file: BinaryIO, digest: Any, tensor: Tensor) -> None:
    data = tensor.contiguous().numpy().data
    file.write(data)
    digest.update(data)


def _append_tokens(
    file: BinaryIO,
    digest: Any,
    split: TokenSplit,
    grid: tuple[int, int, int],
    codes: int,
    what: str,
) -> None:
    done = 0
    for block in split.tokens:
        check_codes(block, codes, done, what)
        assert block.dtype == torch.int16 and block.shape[1:] == grid, (
            block.dtype,
            block.shape,
            grid,
        )
        _append(file, digest, block)
        done += len(block)
    assert done == len(split.labels), (done, len(split.labels))


def check_codes(tokens: Tensor, codes: int, first: int, what: str) -> None:
    """Refuse tokens (n, G, H, W) with a code outside 0..codes-1; `first` is the number of the first image, `what` names them.

    Raises:
        UserError: naming the image and the code.
    """
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < codes:
        wrong = ((tokens < 0) | (tokens >= codes)).flatten(1)
        image = int(wrong.any(1).nonzero()[0])
        code = int(tokens[image].flatten()[wrong[image]][0])
        raise UserError(
            f"{what}: image {first + image:,} has code {code}, and the codebook ends at {codes - 1}; get it anew"
        )


@dataclass(frozen=True)
class TokenFile:
    """A token file, open for reading.

    Args:
        path: where it is.
        about: what it says of its tokens.
        identity: 16 hexadecimal digits that change with anything in it.
        labels: by split, (N,) int64.
        tokens: by split, (N, G, H, W) int16, on the disk until they are asked for.
    """

    path: Path
    metadata: TokenMetadata
    identity: str
    labels: dict[str, Tensor]
    tokens: dict[str, Tensor]

    @property
    def grid(self) -> tuple[int, int, int]:
        """(G, H, W) of every image."""
        groups, height, width = next(iter(self.tokens.values())).shape[1:]
        return groups, height, width

    def check_codes(self) -> None:
        """Read all tokens once.

        Raises:
            UserError: a code is outside the codebook.
        """
        for name, tokens in self.tokens.items():
            for start in range(0, len(tokens), CHUNK):
                block = tokens[start : start + CHUNK]
                check_codes(block, self.metadata.codebook.shape[1], start, f"{self.path}: {name}")

    def digest(self) -> str:
        """The identity that the file's contents have; another one than it says where it was damaged."""
        small = self.metadata.tensors() | {
            f"{name}.labels": labels for name, labels in self.labels.items()
        }
        tensors = small | {f"{name}.tokens": tokens for name, tokens in self.tokens.items()}
        shapes = {
            name: (DTYPES[tensor.dtype], tuple(tensor.shape)) for name, tensor in tensors.items()
        }
        digest = hashlib.sha256(_header(shapes, self.metadata.header_entries()))
        for tensor in tensors.values():
            for start in range(0, len(tensor), CHUNK):
                digest.update(tensor[start : start + CHUNK].contiguous().numpy().data)
        return digest.hexdigest()[:16]


def open_token_file(path: Path) -> TokenFile:
    """Open a token file; its tokens stay on the disk.

    Raises:
        UserError: no such file, not a token file, a truncated one, or labels and tokens that do not fit one another.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a readable token file ({error}); {MEND}") from error
    try:
        plain: dict[str, Any] = {key: json.loads(metadata[key]) for key in PLAIN}
        plain |= {name: found.get(name) for name in TENSORS[1:]}
        about = TokenMetadata(**plain, codebook=found["codebook"])
        names = [name for name in SPLITS if f"{name}.tokens" in found]
        labels, tokens = (
            {name: found[f"{name}.{part}"] for name in names} for part in ("labels", "tokens")
        )
        opened = TokenFile(path, about, metadata[IDENTITY], labels, tokens)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a token file (no {error} in it); {MEND}") from error
    _check(opened, metadata.get("kind", ""))
    return opened


MEND = "make one with python -m seit_cl.tokenize encode or import-seit"


def _check(file: TokenFile, kind: str) -> None:
    """Raises UserError where the parts of a file do not fit one another."""
    about, groups = file.metadata, file.metadata.codebook.shape[0]
    fits = kind == KIND and bool(file.tokens) and about.codebook.ndim == 3 and about.stride >= 1
    for name, tokens in file.tokens.items():
        labels = file.labels[name]
        fits = (
            fits
            and tokens.dtype == torch.int16
            and tokens.ndim == 4
            and tokens.shape[1:] == (groups, *file.grid[1:])
        )
        fits = fits and labels.dtype == torch.int64 and labels.shape == tokens.shape[:1]
        fits = fits and (
            len(labels) == 0 or 0 <= int(labels.min()) <= int(labels.max()) < len(about.classes)
        )
    if not fits:
        raise UserError(
            f"{file.path}: not a token file, or its parts do not fit one another; {MEND}"
        )


def is_token_file(path: Path) -> bool:
    """Whether a path is a safetensors file that says it holds tokens."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(str(path), framework="pt") as file:
            return (file.metadata() or {}).get("kind") == KIND
    except (OSError, SafetensorError):
        return False
