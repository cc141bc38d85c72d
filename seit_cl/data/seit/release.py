"""The token files that SeiT released (Park et al., ICCV 2023), read and written.

Looked up in the public repository naver-ai/seit (its README, options and loader, as stored on 2026-11-25): a folder holds
PREFIX-train-token.data.bin.gz, a gzip of all images' bytes one after the other (seit_cl.data.seit.codes);
PREFIX-train-token.index.npy.gz, a gzip of an .npy array of N + 1 offsets into them; PREFIX-train-label.txt, a number a line; the
same for val; codebook.ckpt, a tensor (K, D) of torch.save; synonyms.json (codebook-synonyms.json in SeiT++), from each code as a
string to a list of codes, nearest first. PREFIX is imagenet1k. Images have 1,024 tokens, a square of 32 by rows.

Assumed, for the release itself was not at hand: integer offsets of any width, which is kept; a line end after the last label or
none, which is kept; JSON as json.dump writes it. What is laid out otherwise is read, but written back in other bytes, and said.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.torch_files import load_tensors
from seit_cl.data.seit.stream import AGAIN, UNREADABLE, read_tokens, reason, tokens_of_first
from seit_cl.data.token_file import SPLITS, TokenMetadata, TokenSplit

DATA, INDEX, LABELS = "-token.data.bin.gz", "-token.index.npy.gz", "-label.txt"
CODEBOOK, SYNONYMS = "codebook.ckpt", "synonyms.json"
STRIDE = 8  # 256 px become 32 x 32 tokens


@dataclass(frozen=True)
class Release:
    """A release's folder, but for its tokens, which are read when they are written.

    Args:
        about: of the token file that it becomes.
        grid: (1, H, W).
        splits: labels, and tokens as they come, by split.
        remarks: what will be written back in other bytes.
    """

    metadata: TokenMetadata
    grid: tuple[int, int, int]
    splits: dict[str, TokenSplit]
    remarks: list[str]


def is_release(folder: Path) -> bool:
    """Whether a folder has token data of the release in it."""
    return folder.is_dir() and any(folder.glob(f"*{DATA}"))


def manifest(folder: Path) -> str:
    """16 hex digits over the names, sizes and times of a release's files."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    facts = [f"{path.name}\0{path.stat().st_size}\0{path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def read_release(
    folder: Path,
    grid: tuple[int, int] | None = None,
    names: list[str] | None = None,
    advance: Callable[[int], None] = lambda images: None,
) -> Release:
    """Open a release's folder: labels, codebook and synonyms are read and checked, tokens when they are taken.

    Args:
        folder: with the files of train, of val, or of both.
        grid: (H, W) of an image's tokens; None: square.
        names: of the classes, in the order of their numbers; None: their numbers.
        advance: called with the number of images read since the last call.

    Raises:
        UserError: no such folder, a file that is missing, truncated or damaged, or files that disagree; the same of the
            token data when it is taken.
    """
    found = _find(folder)
    codebook = read_codebook(folder / CODEBOOK)
    prefix = next(iter(found.values())).name.removesuffix(f"-{next(iter(found))}{DATA}")
    notes, remarks, splits = {"release": prefix}, [], {}
    for split, data in found.items():
        offsets, width = _index(Path(str(data).removesuffix(DATA) + INDEX))
        labels, end = _labels(Path(str(data).removesuffix(DATA) + LABELS))
        if len(labels) != len(offsets) - 1:
            raise UserError(
                f"{folder}: {split} has {len(labels):,} labels and an index of {len(offsets) - 1:,} images; {AGAIN}"
            )
        grid = grid or _square(data, offsets)
        notes |= {f"{split}_offsets": width, f"{split}_labels_end": end or ""}
        remarks += [f"{split} labels"] if end is None else []
        splits[split] = TokenSplit(labels, read_tokens(data, offsets, (1, *grid), advance))
    assert grid is not None
    table = _synonyms(folder, len(codebook[0]))
    if table is not None:
        notes["synonyms"] = table[1].name
        remarks += [] if table[1].read_text() == synonyms_json(table[0]) else [table[1].name]
    about = TokenMetadata(
        prefix,
        _classes(names, splits, folder),
        codebook,
        "sum",
        STRIDE,
        _identity(codebook),
        codebook.nbytes,
        synonyms=None if table is None else table[0],
        notes=notes,
    )
    return Release(about, (1, *grid), splits, remarks)


def _find(folder: Path) -> dict[str, Path]:
    """The token data of the splits that are there."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of a SeiT release's files")
    found: dict[str, Path] = {}
    for split in SPLITS:
        fit = sorted(folder.glob(f"*-{split}{DATA}"))
        if len(fit) > 1:
            raise UserError(
                f"{folder}: {len(fit)} files end in -{split}{DATA}; leave one data set in the folder"
            )
        if fit:
            found[split] = fit[0]
    if not found:
        raise UserError(f"{folder}: has no file NAME-train{DATA}; unpack a SeiT release there")
    return found


def _index(path: Path) -> tuple[np.ndarray, str]:
    """Offsets (N + 1,) int64, and the type that they were written in."""
    try:
        with gzip.open(path) as file:
            found = np.load(file, allow_pickle=False)
            tail = file.read(1)
    except UNREADABLE as error:
        raise UserError(f"{path}: not a readable index ({reason(error)}); {AGAIN}") from error
    if found.ndim != 1 or found.dtype.kind not in "iu" or len(found) < 2 or tail:
        raise UserError(
            f"{path}: not an index but an array {found.shape} of {found.dtype}; {AGAIN}"
        )
    offsets = found.astype(np.int64)
    if offsets[0] != 0 or (np.diff(offsets) <= 0).any():
        raise UserError(f"{path}: its offsets do not start at 0 and grow; {AGAIN}")
    return offsets, found.dtype.str


def _labels(path: Path) -> tuple[Tensor, str | None]:
    """Labels (N,) int64, and what stands after the last: a line end or nothing; None where lines are not as ours."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not a readable list of labels ({reason(error)}); {AGAIN}"
        ) from error
    lines = text.splitlines()
    try:
        labels = torch.tensor([int(line) for line in lines], dtype=torch.int64)
    except ValueError:
        number = next(i for i, line in enumerate(lines, 1) if not line.strip().isdecimal())
        raise UserError(
            f"{path}, line {number}: {lines[number - 1][:20]!r} is not a label; {AGAIN}"
        ) from None
    if len(labels) and int(labels.min()) < 0:
        raise UserError(f"{path}: has the label {int(labels.min())}; labels count from 0")
    same = [end for end in ("\n", "") if labels_text(labels, end) == text]
    return labels, same[0] if same else None


def labels_text(labels: Tensor, end: str) -> str:
    """Labels one a line, with `end` after the last."""
    return "\n".join(map(str, labels.tolist())) + end


def read_codebook(path: Path) -> Tensor:
    """The codebook (1, K, D) float32 of a codebook.ckpt.

    Raises:
        UserError: no such file, a pickled object, or no matrix in it.
    """
    found = load_tensors(path)
    if isinstance(found, dict) and len(found) == 1:
        found = next(iter(found.values()))
    if (
        not isinstance(found, Tensor)
        or found.ndim != 2
        or not found.is_floating_point()
        or not bool(found.isfinite().all())
    ):
        raise UserError(
            f"{path}: holds no codebook, which is a matrix (K, D) of finite numbers; {AGAIN}"
        )
    return found.detach().float()[None].contiguous()


def _square(data: Path, offsets: np.ndarray) -> tuple[int, int]:
    """(H, W) of the first image, as square."""
    count = tokens_of_first(data, int(offsets[1]))
    side = round(count**0.5)
    if count == 0 or side * side != count:
        raise UserError(
            f"{data}: its first image has {count:,} tokens, which are no square; say --grid H W"
        )
    return side, side


def _synonyms(folder: Path, codes: int) -> tuple[Tensor, Path] | None:
    """The table (K, S) int16, -1 after the last of a code, and its file; None where there is none."""
    found = sorted(folder.glob(f"*{SYNONYMS}"))
    if not found:
        return None
    try:
        table = json.loads(found[0].read_text())
        rows = [[int(code) for code in table[str(i)]] for i in range(codes)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{found[0]}: not a table of the synonyms of {codes} codes ({reason(error)}); {AGAIN}"
        ) from error
    if len(table) != codes or any(not 0 <= code < codes for row in rows for code in row):
        raise UserError(f"{found[0]}: has codes that the codebook of {codes} lacks; {AGAIN}")
    padded = torch.full((codes, max(map(len, rows), default=0)), -1, dtype=torch.int16)
    for row, listed in zip(padded, rows, strict=True):
        row[: len(listed)] = torch.tensor(listed, dtype=torch.int16)
    return padded, found[0]


def synonyms_json(table: Tensor) -> str:
    """A table (K, S) int16, -1 after the last of a code, as JSON."""
    return json.dumps(
        {
            str(code): [other for other in row if other >= 0]
            for code, row in enumerate(table.tolist())
        }
    )


def _classes(names: list[str] | None, splits: dict[str, TokenSplit], folder: Path) -> list[str]:
    count = max(int(split.labels.max()) for split in splits.values()) + 1
    if names is not None and (len(names) < count or len(set(names)) < len(names)):
        raise UserError(
            f"{folder}: has {count:,} classes, and {len(set(names)):,} names were given; give each one name"
        )
    return names or [str(label) for label in range(count)]


def _identity(codebook: Tensor) -> str:
    """Of a tokenizer of which the codebook alone is known."""
    return hashlib.sha256(b"SeiT release" + codebook.numpy().tobytes()).hexdigest()[:16]
