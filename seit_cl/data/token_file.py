"""Token files: a dataset as token grids and labels with their codebook, in one safetensors file.

Tensors, for N images of a split, G codes at each of H x W positions, and K codes of D dimensions:

    codebook (G, K, D) float32; optionally mirror (G, K) int64 and synonyms (K, S) int16
    train.labels, val.labels (N,) int64; train.tokens, val.tokens (N, G, H, W) int16

The file's metadata are the fields of `TokenMetadata` that are not tensors, kind "tokens", an
identity over the whole contents, and digests: of the header, with zeros in its place, of all small
tensors, and of blocks of tokens. Tokens come last, so that they can be written while they are made;
they are read from the disk when they are used, and compared with their digests then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
from safetensors import safe_open
from torch import Tensor

from seit_cl.core.digests import ZEROS, check_header, damaged, digest, sealed_header
from seit_cl.core.errors import UserError, one_line, reading
from seit_cl.core.files import atomic_file
from seit_cl.core.limits import LONGEST_SIDE
from seit_cl.core.notes import note_no_digest
from seit_cl.core.tensor_files import DTYPES, tensor_header
from seit_cl.data.stored_tokens import BlockDigests, StoredTokens, check_codes, text_length
from seit_cl.data.token_metadata import check_entries, check_tables

KIND = "tokens"  # in the metadata; tokenizer files have a kind too
IDENTITY = "identity"
SMALL = "seit_cl.small"  # entries of the digests of the small tensors and of a split's tokens
BLOCKS = "seit_cl.blocks."
SPLITS = ("train", "val")
CHUNK = 4096  # images read together
SMALL_FILE = 1 << 24  # bytes of tokens up to which a file without digests is compared as a whole
REMEDY = "make one with python -m seit_cl.tokenize encode or import-seit"


@dataclass(frozen=True)
class TokenMetadata:
    """Description of the tokens in a token file.

    Args:
        name: name of the dataset.
        classes: C names; a label is a position in this list.
        codebook: (G, K, D) float32.
        combine: combination of a position's G vectors into its embedding.
        stride: pixels per token side.
        tokenizer: identity of the tokenizer that made the tokens.
        codec_bytes: bytes of the tokenizer's weights and codebook.
        mirror: (G, K) int64, the code that each code becomes in a mirrored image; None if the
            tokenizer has no such codes.
        synonyms: (K, S) int16, the nearest codes of each code, padded with -1; None if the source
            has no such table.
        notes: further information, for people and for writing the source's own format.
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
        """The tensors that are not None, by name."""
        tensors = {}
        for name in TENSORS:
            tensor = getattr(self, name)
            if tensor is not None:
                tensors[name] = tensor.cpu().contiguous()
        return tensors

    def header_entries(self) -> dict[str, str]:
        """The other fields as JSON, and the kind: the metadata of a safetensors header."""
        entries = {name: json.dumps(getattr(self, name)) for name in PLAIN}
        entries["kind"] = KIND
        return entries


TENSORS = ("codebook", "mirror", "synonyms")
PLAIN = tuple(option.name for option in fields(TokenMetadata) if option.name not in TENSORS)


@dataclass(frozen=True)
class TokenSplit:
    """One split of a token file to write.

    Args:
        labels: (N,) int64.
        tokens: blocks (n, G, H, W) int16, N images in all, made during iteration.
    """

    labels: Tensor
    tokens: Iterable[Tensor]


def write_token_file(
    path: Path,
    metadata: TokenMetadata,
    grid: tuple[int, int, int],
    splits: Mapping[str, TokenSplit],
    source: Path | None = None,
    remedy: str = "choose another file",
) -> str:
    """Write a token file block by block; it appears when it is complete.

    Args:
        path: the file.
        metadata: description of the tokens.
        grid: (G, H, W).
        splits: "train", "val" or both.
        source: of the tokens, which an error about them names; None: `path`.
        remedy: of a file that cannot be written.

    Returns:
        The file's identity.

    Raises:
        UserError: the file cannot be written, or a code is outside the codebook.
    """
    labels = {name: split.labels.long().contiguous() for name, split in splits.items()}
    small = _small_tensors(metadata, labels)
    shapes = _shapes(small)
    for name, split in splits.items():
        shapes[f"{name}.tokens"] = ("I16", (len(split.labels), *grid))
    entries = metadata.header_entries()
    digest_of_all = hashlib.sha256(tensor_header(shapes, entries))
    codes = metadata.codebook.shape[1]
    places = {IDENTITY: ZEROS, SMALL: _digest_of(small)}
    for name in splits:
        places[BLOCKS + name] = "0" * text_length(shapes[f"{name}.tokens"][1])
    try:
        with atomic_file(path) as file:
            file.write(sealed_header(partial(tensor_header, shapes), entries | places))
            for tensor in small.values():
                _append(file, digest_of_all, tensor)
            for name, split in splits.items():
                places[BLOCKS + name] = _append_tokens(
                    file, digest_of_all, split, grid, codes, f"{source or path}: {name}"
                )
            places[IDENTITY] = identity = digest_of_all.hexdigest()[:16]
            # The final header is as long as the one that it replaces.
            file.seek(0)
            file.write(sealed_header(partial(tensor_header, shapes), entries | places))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); {remedy}"
        ) from error
    return identity


def _small_tensors(metadata: TokenMetadata, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors but the tokens, in the order of the file."""
    tensors = metadata.tensors()
    for name, split_labels in labels.items():
        tensors[f"{name}.labels"] = split_labels
    return tensors


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Data type and shape of every tensor."""
    return {name: (DTYPES[t.dtype], tuple(t.shape)) for name, t in tensors.items()}


def _digest_of(small: Mapping[str, Tensor]) -> str:
    """The digest of small tensors, in the order of their names."""
    parts = []
    for _, tensor in sorted(small.items()):
        parts.append(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest(*parts)


def _append(file: BinaryIO, digest_of_all: Any, tensor: Tensor) -> None:
    data = tensor.contiguous().numpy().data
    file.write(data)
    digest_of_all.update(data)


def _append_tokens(
    file: BinaryIO,
    digest_of_all: Any,
    split: TokenSplit,
    grid: tuple[int, int, int],
    codes: int,
    subject: str,
) -> str:
    """Write the tokens of a split and return the digests of their blocks."""
    done = 0
    blocks = BlockDigests((len(split.labels), *grid))
    for block in split.tokens:
        check_codes(block, codes, done, subject)
        assert block.dtype == torch.int16, block.dtype
        assert block.shape[1:] == grid, (block.shape, grid)
        _append(file, digest_of_all, block)
        blocks.add(block)
        done += len(block)
    assert done == len(split.labels), (done, len(split.labels))
    return blocks.text()


@dataclass(frozen=True)
class TokenFile:
    """A token file that is open for reading.

    Args:
        path: the file.
        metadata: description of the tokens.
        identity: 16 hexadecimal digits that change with any part of the contents.
        labels: by split, (N,) int64.
        tokens: by split, (N, G, H, W) int16, read from the disk and checked when they are used.
    """

    path: Path
    metadata: TokenMetadata
    identity: str
    labels: dict[str, Tensor]
    tokens: dict[str, StoredTokens]

    def __reduce__(self) -> tuple[Callable[[Path], TokenFile], tuple[Path]]:
        """Pickle as the path: another process maps the same file instead of getting a copy."""
        return open_token_file, (self.path.resolve(),)

    @property
    def grid(self) -> tuple[int, int, int]:
        """(G, H, W) of every image."""
        groups, height, width = next(iter(self.tokens.values())).shape[1:]
        return groups, height, width

    def check(self) -> None:
        """Read all tokens once and check their digests, and that they are inside the codebook.

        Raises:
            UserError: a damaged block, or the image and the code.
        """
        for tokens in self.tokens.values():
            tokens.whole()

    def digest(self) -> str:
        """The identity of the present contents; it differs from `identity` in a damaged file."""
        tensors = _small_tensors(self.metadata, self.labels)
        for name, tokens in self.tokens.items():
            tensors[f"{name}.tokens"] = tokens.unchecked
        digest_of_all = hashlib.sha256(
            tensor_header(_shapes(tensors), self.metadata.header_entries())
        )
        for tensor in tensors.values():
            for start in range(0, len(tensor), CHUNK):
                digest_of_all.update(tensor[start : start + CHUNK].contiguous().numpy().data)
        return digest_of_all.hexdigest()[:16]


def open_token_file(path: Path, remedy: str = REMEDY) -> TokenFile:
    """Open a token file; its tokens stay on the disk, and are checked when they are used.

    Args:
        path: the file.
        remedy: what to do about a damaged file, for messages.

    Raises:
        UserError: no such file, not a token file, a damaged one, or inconsistent tensors.
    """
    try:
        has_digests = check_header(path, remedy)
        with safe_open(str(path), framework="pt") as file:
            entries = dict(file.metadata() or {})
            names = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{path}: not a readable token file ({one_line(error)}); {remedy}"
        ) from error
    try:
        plain: dict[str, Any] = {key: json.loads(entries[key]) for key in PLAIN}
        check_entries(plain)
        metadata = TokenMetadata(
            **plain,
            codebook=tensors["codebook"],
            mirror=tensors.get("mirror"),
            synonyms=tensors.get("synonyms"),
        )
        splits = [name for name in SPLITS if f"{name}.tokens" in tensors]
        token_file = TokenFile(
            path=path,
            metadata=metadata,
            identity=entries[IDENTITY],
            labels={name: tensors[f"{name}.labels"] for name in splits},
            tokens={
                name: StoredTokens(
                    path,
                    name,
                    tensors[f"{name}.tokens"],
                    metadata.codebook.shape[1],
                    entries[BLOCKS + name] if has_digests else None,
                    remedy,
                )
                for name in splits
            },
        )
    except UserError:
        raise
    except Exception as error:  # of any type in entries that somebody wrote
        reason = f"no {error} in it" if isinstance(error, KeyError) else one_line(error)
        raise UserError(f"{path}: not a token file ({reason}); {remedy}") from error
    if entries.get("kind") != KIND or not _is_consistent(token_file):
        raise UserError(f"{path}: not a token file, or its parts do not fit together; {remedy}")
    _check_small(token_file, entries.get(SMALL), remedy)
    with reading(path, "not a token file", remedy):
        check_tables(metadata.codebook, metadata.mirror, metadata.synonyms)
    return token_file


def _check_small(file: TokenFile, expected: str | None, remedy: str) -> None:
    """Compare all but the tokens with their digest, and small files of earlier versions as a whole.

    Raises:
        Damaged: they differ.
    """
    if expected is None:
        size = sum(tokens.unchecked.nbytes for tokens in file.tokens.values())
        if size <= SMALL_FILE and file.digest() != file.identity:
            raise damaged(file.path, remedy)
        note_no_digest(file.path)
    elif _digest_of(_small_tensors(file.metadata, file.labels)) != expected:
        raise damaged(file.path, remedy)


def _is_consistent(file: TokenFile) -> bool:
    """Return True if the tensors of a file fit together."""
    metadata = file.metadata
    if not file.tokens:
        return False
    groups = metadata.codebook.shape[0]
    for name, tokens in file.tokens.items():
        labels = file.labels[name]
        if tokens.unchecked.dtype != torch.int16 or tokens.unchecked.ndim != 4:
            return False
        if tokens.shape[1:] != (groups, *file.grid[1:]):
            return False
        if labels.dtype != torch.int64 or labels.shape != tokens.shape[:1]:
            return False
        if len(labels) and (labels.min() < 0 or labels.max() >= len(metadata.classes)):
            return False
    return max(file.grid[1:]) * metadata.stride <= LONGEST_SIDE


def is_token_file(path: Path) -> bool:
    """Return True for a safetensors file whose metadata have the kind of token files."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(str(path), framework="pt") as file:
            return (file.metadata() or {}).get("kind") == KIND
    except Exception:
        return False
