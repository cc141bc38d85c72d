"""The folder of a SeiT release (Park et al., ICCV 2023).

Format, as in the public repository naver-ai/seit (its README, options and loader, read on
2026-11-25). PREFIX is imagenet1k; the files of val are named alike:

    PREFIX-train-token.data.bin.gz   a gzip of the bytes of all images (seit_cl.data.seit.codes)
    PREFIX-train-token.index.npy.gz  a gzip of an .npy array, N + 1 offsets into these bytes
    PREFIX-train-label.txt           a number a line
    codebook.ckpt                    a tensor (K, D) written by torch.save
    synonyms.json                    from each code as a string to a list of codes, nearest first;
                                     codebook-synonyms.json in SeiT++

An image has 1,024 tokens, a square of 32 by rows.

Assumptions, made without a copy of the release: offsets are integers of any width, which is
remembered; the last label may or may not end in a line end, which is remembered; JSON is formatted
as json.dump does. Files with another layout are read too, but written back in different bytes, and
the import lists them.
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

from seit_cl.core.errors import UserError, reading
from seit_cl.core.limits import DEFLATE_RATIO, MOST_CLASSES, MOST_CODES
from seit_cl.core.npy import read_npy
from seit_cl.core.torch_files import load_tensors
from seit_cl.data.seit.stream import AGAIN, read_tokens, tokens_of_first
from seit_cl.data.token_file import SPLITS, TokenMetadata, TokenSplit

DATA = "-token.data.bin.gz"
INDEX = "-token.index.npy.gz"
LABELS = "-label.txt"
CODEBOOK = "codebook.ckpt"
SYNONYMS = "synonyms.json"
# Entries of the padded table of synonyms: so many in any case, and to a character of its file.
SMALL_TABLE = 10**6
SPARSEST = 4
STRIDE = 8  # 256 px become 32 x 32 tokens


@dataclass(frozen=True)
class Release:
    """An open release; its tokens are read when they are written elsewhere.

    Args:
        metadata: metadata of the token file that it becomes.
        grid: (1, H, W).
        splits: labels and tokens by split.
        remarks: files that would be written back in different bytes.
    """

    metadata: TokenMetadata
    grid: tuple[int, int, int]
    splits: dict[str, TokenSplit]
    remarks: list[str]


def is_release(folder: Path) -> bool:
    """Return True for a folder with token data of a release."""
    return folder.is_dir() and any(folder.glob(f"*{DATA}"))


def manifest(folder: Path) -> str:
    """16 hex digits over the names, sizes and modification times of a release's files."""
    lines = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        stat = path.stat()
        lines.append(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def read_release(
    folder: Path,
    grid: tuple[int, int] | None = None,
    names: list[str] | None = None,
    advance: Callable[[int], None] = lambda images: None,
) -> Release:
    """Open the folder of a release.

    Labels, codebook and synonyms are read and checked here, tokens during iteration.

    Args:
        folder: has the files of train, of val, or of both.
        grid: (H, W) of an image's tokens; None: square.
        names: names of the classes, in the order of their numbers; None: their numbers.
        advance: called with the number of images read since the last call.

    Raises:
        UserError: no such folder, a missing, truncated or damaged file, or files that disagree;
            for the token data, during iteration.
    """
    data_files = _find_data(folder)
    codebook = read_codebook(folder / CODEBOOK)
    first_split, first_file = next(iter(data_files.items()))
    prefix = first_file.name.removesuffix(f"-{first_split}{DATA}")
    notes = {"release": prefix}
    remarks: list[str] = []
    splits: dict[str, TokenSplit] = {}
    for split, data_file in data_files.items():
        stem = str(data_file).removesuffix(DATA)
        offsets, offset_type = _read_index(Path(stem + INDEX))
        labels, line_end = _read_labels(Path(stem + LABELS))
        if len(labels) != len(offsets) - 1:
            raise UserError(
                f"{folder}: {split} has {len(labels):,} labels and an index of "
                f"{len(offsets) - 1:,} images; {AGAIN}"
            )
        grid = grid or _square_grid(data_file, offsets)
        notes[f"{split}_offsets"] = offset_type
        notes[f"{split}_labels_end"] = line_end or ""
        if line_end is None:
            remarks.append(f"{split} labels")
        tokens = read_tokens(data_file, offsets, (1, *grid), advance)
        splits[split] = TokenSplit(labels, tokens)
    assert grid is not None
    synonyms = None
    synonyms_file = _find_synonyms(folder)
    if synonyms_file is not None:
        synonyms = _read_synonyms(synonyms_file, codebook.shape[1])
        notes["synonyms"] = synonyms_file.name
        if synonyms_file.read_text() != synonyms_json(synonyms):
            remarks.append(synonyms_file.name)
    metadata = TokenMetadata(
        name=prefix,
        classes=_class_names(names, splits, folder),
        codebook=codebook,
        combine="sum",
        stride=STRIDE,
        tokenizer=_tokenizer_identity(codebook),
        codec_bytes=codebook.nbytes,
        synonyms=synonyms,
        notes=notes,
    )
    return Release(metadata, (1, *grid), splits, remarks)


def _find_data(folder: Path) -> dict[str, Path]:
    """The token data by split.

    Raises:
        UserError: no such folder, no token data, or several datasets.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of a SeiT release's files")
    data_files: dict[str, Path] = {}
    for split in SPLITS:
        candidates = sorted(folder.glob(f"*-{split}{DATA}"))
        if len(candidates) > 1:
            raise UserError(
                f"{folder}: {len(candidates)} files end in -{split}{DATA}; "
                "leave one dataset in the folder"
            )
        if candidates:
            data_files[split] = candidates[0]
    if not data_files:
        raise UserError(f"{folder}: has no file NAME-train{DATA}; unpack a SeiT release there")
    return data_files


def _read_index(path: Path) -> tuple[np.ndarray, str]:
    """Offsets (N + 1,) int64, and the data type in the file.

    Raises:
        UserError: unreadable, or not an array of growing offsets from 0.
    """
    with reading(path, "not a readable index", AGAIN), gzip.open(path) as file:
        array = read_npy(file, DEFLATE_RATIO * path.stat().st_size)  # type: ignore[arg-type]
        tail = file.read(1)
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) < 2 or tail:
        raise UserError(
            f"{path}: not an index but an array {array.shape} of {array.dtype}; {AGAIN}"
        )
    offsets = array.astype(np.int64)
    if offsets[0] != 0 or (np.diff(offsets) <= 0).any():
        raise UserError(f"{path}: its offsets do not start at 0 and grow; {AGAIN}")
    return offsets, array.dtype.str


def _read_labels(path: Path) -> tuple[Tensor, str | None]:
    """Read labels, one a line.

    Returns:
        Labels (N,) int64, and the text after the last label: a line end or "". None if the lines
        have another layout than `labels_text` writes.

    Raises:
        UserError: unreadable, or a line that is not a label.
    """
    with reading(path, "not a readable list of labels", AGAIN):
        text = path.read_bytes().decode()
    numbers = [_read_label(path, number, line) for number, line in enumerate(text.splitlines(), 1)]
    labels = torch.tensor(numbers, dtype=torch.int64)
    for end in ("\n", ""):
        if labels_text(labels, end) == text:
            return labels, end
    return labels, None


def _read_label(path: Path, number: int, line: str) -> int:
    """Read one line.

    Raises:
        UserError: naming the line, if it is not a label.
    """
    try:
        label = int(line)
    except ValueError:  # also for thousands of digits
        shown = line if len(line) <= 20 else f"{line[:20]}..."
        raise UserError(f"{path}, line {number}: {shown!r} is not a label; {AGAIN}") from None
    if label < 0:
        raise UserError(f"{path}: has the label {label}; labels count from 0")
    if label >= MOST_CLASSES:
        raise UserError(
            f"{path}, line {number}: has the label {label}, and a dataset has at most "
            f"{MOST_CLASSES:,} classes; {AGAIN}"
        )
    return label


def labels_text(labels: Tensor, end: str) -> str:
    """Labels one a line, with `end` after the last."""
    return "\n".join(map(str, labels.tolist())) + end


def read_codebook(path: Path) -> Tensor:
    """Read the codebook (1, K, D) float32 of a codebook.ckpt.

    Raises:
        UserError: no such file, a pickled object, or no matrix in it.
    """
    matrix = load_tensors(path)
    if isinstance(matrix, dict) and len(matrix) == 1:
        matrix = next(iter(matrix.values()))
    is_matrix = isinstance(matrix, Tensor) and matrix.ndim == 2 and matrix.is_floating_point()
    if not is_matrix or len(matrix) > MOST_CODES or not bool(matrix.isfinite().all()):
        raise UserError(
            f"{path}: holds no codebook, which is a matrix (K, D) of finite numbers with at most "
            f"{MOST_CODES:,} rows; {AGAIN}"
        )
    return matrix.detach().float()[None].contiguous()


def _square_grid(data_file: Path, offsets: np.ndarray) -> tuple[int, int]:
    """(H, W) of the first image, assumed square.

    Raises:
        UserError: its number of tokens is not a square.
    """
    count = tokens_of_first(data_file, int(offsets[1]))
    side = round(count**0.5)
    if count == 0 or side * side != count:
        raise UserError(
            f"{data_file}: its first image has {count:,} tokens, which are no square; "
            "give --grid H W"
        )
    return side, side


def _find_synonyms(folder: Path) -> Path | None:
    """The table of synonyms, if there is one."""
    candidates = sorted(folder.glob(f"*{SYNONYMS}"))
    return candidates[0] if candidates else None


def _read_synonyms(path: Path, codes: int) -> Tensor:
    """Read the synonyms of each of K codes as a table (K, S) int16, padded with -1.

    Raises:
        UserError: unreadable, or codes that the codebook lacks.
    """
    with reading(path, f"not a table of the synonyms of {codes} codes", AGAIN):
        text = path.read_text(encoding="utf-8")
        table = json.loads(text)
        rows = []
        for code in range(codes):
            rows.append([int(synonym) for synonym in table[str(code)]])
        # A few long rows among many short ones would take far more memory than the file.
        if codes * max(map(len, rows), default=0) > max(SMALL_TABLE, SPARSEST * len(text)):
            raise ValueError("rows of very different length")
    valid = len(table) == codes
    for row in rows:
        valid = valid and all(0 <= synonym < codes for synonym in row)
    if not valid:
        raise UserError(f"{path}: has codes that the codebook of {codes} lacks; {AGAIN}")
    padded = torch.full((codes, max(map(len, rows), default=0)), -1, dtype=torch.int16)
    for code, row in enumerate(rows):
        padded[code, : len(row)] = torch.tensor(row, dtype=torch.int16)
    return padded


def synonyms_json(table: Tensor) -> str:
    """A table of synonyms (K, S) int16, padded with -1, as JSON."""
    synonyms = {}
    for code, row in enumerate(table.tolist()):
        synonyms[str(code)] = [synonym for synonym in row if synonym >= 0]
    return json.dumps(synonyms)


def _class_names(names: list[str] | None, splits: dict[str, TokenSplit], folder: Path) -> list[str]:
    """The names of the classes, or their numbers.

    Raises:
        UserError: fewer names than classes, or one twice.
    """
    count = max(int(split.labels.max()) for split in splits.values()) + 1
    if names is None:
        return [str(label) for label in range(count)]
    if len(names) < count or len(set(names)) < len(names):
        raise UserError(
            f"{folder}: has {count:,} classes, and {len(set(names)):,} names were given; "
            "give each one name"
        )
    return names


def _tokenizer_identity(codebook: Tensor) -> str:
    """The identity of a tokenizer of which only the codebook is available."""
    return hashlib.sha256(b"SeiT release" + codebook.numpy().tobytes()).hexdigest()[:16]
