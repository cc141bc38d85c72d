"""Token grids on a disk, compared with their digests block by block when they are first used.

N images of a split, G codes at each of H x W positions, K codes in the codebook.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.digests import BLOCK, damaged, digest
from seit_cl.core.errors import UserError
from seit_cl.core.threads import map_in_threads

HEX = 16  # digits of a digest


def rows_of_block(shape: Sequence[int]) -> int:
    """Images of a block: as many as fit BLOCK bytes, at least one.

    Args:
        shape: of all tokens, (N, G, H, W), of two bytes each.
    """
    image_bytes = 2 * max(1, torch.Size(shape[1:]).numel())
    return max(1, BLOCK // image_bytes)


class BlockDigests:
    """Digests of the blocks of a split, made while its tokens are written.

    Args:
        shape: of all tokens, (N, G, H, W).
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._rows = rows_of_block(shape)
        self._parts: list[Any] = []  # of a block that is not complete
        self._missing = self._rows  # images of it
        self._found: list[str] = []

    def add(self, tokens: Tensor) -> None:
        """Add the next tokens (n, G, H, W) int16."""
        while len(tokens):
            part = tokens[: self._missing].contiguous()
            self._parts.append(part.numpy().data.cast("B"))
            self._missing -= len(part)
            tokens = tokens[len(part) :]
            if self._missing == 0:
                self._close()

    def _close(self) -> None:
        self._found.append(digest(*self._parts))
        self._parts = []
        self._missing = self._rows

    def text(self) -> str:
        """The digests of all blocks, one after the other."""
        if self._parts:
            self._close()
        return "".join(self._found)


def text_length(shape: Sequence[int]) -> int:
    """Length of `BlockDigests.text` for tokens of a shape (N, G, H, W)."""
    return HEX * -(-shape[0] // rows_of_block(shape))


class StoredTokens:
    """Tokens of a split, mapped from a file; what is used of them is checked first, once.

    Args:
        path: the file, for messages.
        split: its name, for messages.
        tokens: (N, G, H, W) int16.
        codes: number of codes K; others are refused.
        digests: as `BlockDigests.text` gives them; None for a file of an earlier version.
        remedy: what to do about a damaged file.
    """

    def __init__(
        self,
        path: Path,
        split: str,
        tokens: Tensor,
        codes: int,
        digests: str | None,
        remedy: str,
    ) -> None:
        self._path = path
        self._split = split
        self.unchecked = tokens
        self._codes = codes
        self._digests = digests
        self._remedy = remedy
        self._rows = rows_of_block(tokens.shape)
        self._pending = torch.ones(-(-len(tokens) // self._rows), dtype=torch.bool)
        self._is_checked = False

    def __len__(self) -> int:
        return len(self.unchecked)

    @property
    def shape(self) -> torch.Size:
        """(N, G, H, W)."""
        return self.unchecked.shape

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Tokens (n, G, H, W) of some images.

        Args:
            rows: a slice of images in order, or (n,) int64.

        Raises:
            UserError: a block that they are in is damaged, or has codes outside the codebook.
        """
        if not self._is_checked:
            self._check(self._blocks_of(rows))
        return self.unchecked[rows]

    def whole(self) -> Tensor:
        """All tokens (N, G, H, W).

        Raises:
            UserError: as for some of them.
        """
        if not self._is_checked:
            self._check(torch.arange(len(self._pending)))
        return self.unchecked

    def _blocks_of(self, rows: slice | Tensor) -> Tensor:
        """Numbers of the blocks that images are in."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return torch.arange(start // self._rows, -(-max(start, stop) // self._rows))
        return (torch.as_tensor(rows) % max(1, len(self)) // self._rows).unique()

    def _check(self, blocks: Tensor) -> None:
        """Check those of some blocks that have not been checked yet, in threads."""
        new = blocks[self._pending[blocks]]
        if len(new) == 1:
            self._check_block(int(new))
        else:
            for _ in map_in_threads(self._check_block, new.tolist()):
                pass
        self._pending[new] = False
        self._is_checked = not bool(self._pending.any())

    def _check_block(self, number: int) -> None:
        start = number * self._rows
        block = self.unchecked[start : start + self._rows].contiguous()
        if self._digests is not None:
            expected = self._digests[number * HEX : (number + 1) * HEX]
            if digest(block.numpy().data.cast("B")) != expected:
                place = f"{self._path}: {self._split}, images from {start:,} on"
                raise damaged(place, self._remedy)
        check_codes(block, self._codes, start, f"{self._path}: {self._split}")


def check_codes(tokens: Tensor, codes: int, first: int, subject: str) -> None:
    """Check that all codes are inside the codebook.

    Args:
        tokens: (n, G, H, W).
        codes: number of codes K.
        first: number of the first image, for messages.
        subject: file and split of the tokens, for messages.

    Raises:
        UserError: naming the image and the code.
    """
    if tokens.numel() == 0:
        return
    smallest, largest = tokens.aminmax()
    if int(smallest) >= 0 and int(largest) < codes:
        return
    wrong = ((tokens < 0) | (tokens >= codes)).flatten(1)
    image = int(wrong.any(1).nonzero()[0])
    code = int(tokens[image].flatten()[wrong[image]][0])
    raise UserError(
        f"{subject}: image {first + image:,} has code {code}, and the codebook ends at "
        f"{codes - 1}; download or make it again"
    )
