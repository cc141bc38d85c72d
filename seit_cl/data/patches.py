"""Choice of the positions of a token grid that are worth storing.

Scores are integers, so that the choice is the same on every device and in every batch. To store a
part of an exemplar alone follows Luo et al. (CVPR 2023, Class-Incremental Exemplar Compression),
who find the part that tells the class by class activation maps and keep the rest at a lower
resolution. Here no network is asked, and the rest is left out.

Shapes: B batch, G codes per position, P = H x W positions, n kept ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

__all__ = ["DEFAULT_SCORE", "SCORES", "PatchChoice", "decode_partial"]

GREY = 128  # pixels of positions that an exemplar lacks
_PRIME = 65521


def rarity(tokens: Tensor) -> Tensor:
    """Number of positions of a grid whose first code is another one.

    Args:
        tokens: (B, G, H, W) int64.

    Returns:
        Scores (B, H, W) int64.
    """
    first = tokens[:, 0].flatten(1).contiguous()
    ordered = first.sort(dim=1).values  # so that equal codes stand side by side
    end = torch.searchsorted(ordered, first, right=True)
    equal = end - torch.searchsorted(ordered, first)
    return (first.shape[1] - equal).view_as(tokens[:, 0])


def random(tokens: Tensor) -> Tensor:
    """Hash of first codes and position, which prefers no part of an image.

    Args:
        tokens: (B, G, H, W) int64.

    Returns:
        Scores (B, H, W) int64.
    """
    first = tokens[:, 0].flatten(1)
    position = torch.arange(first.shape[1], device=first.device)
    seed = (first * (position * 40503 % _PRIME + 1)).sum(1, keepdim=True) % _PRIME
    mixed = (seed + position * 28657 + 1) % _PRIME
    for _ in range(3):
        mixed = (mixed * mixed + 31 * seed + position + 12345) % _PRIME
    return mixed.view_as(tokens[:, 0])


def centre(height: int, width: int) -> Tensor:
    """Nearness to the centre of the grid: scores (H, W) int64."""
    rows = (2 * torch.arange(height) - height + 1).square()[:, None]
    columns = (2 * torch.arange(width) - width + 1).square()
    return height**2 + width**2 - rows - columns


def even(height: int, width: int) -> Tensor:
    """Bayer's order, whose first positions are spread evenly: scores (H, W) int64.

    Its first half are a chessboard's squares of one colour (Bayer, ICC 1973).
    """
    row = torch.arange(height)[:, None]
    column = torch.arange(width)
    rank = torch.zeros(height, width, dtype=torch.int64)
    for bit in range(8):  # sides of up to 256 positions
        of_row = (row >> bit) & 1
        of_column = (column >> bit) & 1
        rank = rank * 4 + (of_row ^ of_column) * 2 + of_column
    return 4**8 - 1 - rank


_OF_CODES: Mapping[str, Callable[[Tensor], Tensor]] = {"rarity": rarity, "random": random}
# Scores that are the same for all grids, so that a record need not tell its places.
_OF_PLACES: Mapping[str, Callable[[int, int], Tensor]] = {"even": even, "centre": centre}
SCORES = (*_OF_PLACES, *_OF_CODES)
DEFAULT_SCORE = "even"
_ABOVE_ALL = 1 << 18  # scores are below it for grids of up to 256 x 256


class PatchChoice(nn.Module):
    """Choice of n positions of every grid: those of the highest scores, of equals the first.

    Args:
        keep: n as a share of the positions, rounded; at least one position is kept.
        score: a name in SCORES.
        size: (H, W) of a grid.

    Attributes:
        positions: P.
        count: n.
        is_fixed: True if all grids keep the same positions.
    """

    places: Tensor | None

    def __init__(self, keep: float, score: str, size: tuple[int, int]) -> None:
        super().__init__()
        self.score = score
        self.size = size
        self.positions = size[0] * size[1]
        self.count = max(1, round(keep * self.positions))
        self.is_fixed = score in _OF_PLACES
        places = _OF_PLACES[score](*size)[None] if self.is_fixed else None
        self.register_buffer("places", places, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Choose positions of grids; those without a first code come last.

        Args:
            tokens: (B, G, H, W) integers, -1 where a code is missing.

        Returns:
            (B, n) int64, rising, counted row by row.
        """
        is_there = tokens[:, 0] >= 0
        scores = torch.where(is_there, self._scores(tokens) + _ABOVE_ALL, 0).flatten(1)
        # Keys differ, so that no implementation of topk has a choice.
        firsts = torch.arange(self.positions - 1, -1, -1, device=tokens.device)
        keys = scores * self.positions + firsts
        return keys.topk(self.count, dim=1, sorted=False).indices.sort(dim=1).values

    def mask(self, tokens: Tensor) -> Tensor:
        """Mark the chosen positions of grids (B, G, H, W): (B, H, W) bool."""
        is_kept = torch.zeros(len(tokens), self.positions, dtype=torch.bool, device=tokens.device)
        return is_kept.scatter_(1, self(tokens), True).view(len(tokens), *self.size)

    def fixed(self, device: torch.device) -> Tensor:
        """The positions (n,) that all grids keep, where `is_fixed`."""
        whole = torch.zeros((1, 1, *self.size), dtype=torch.int64, device=device)
        chosen: Tensor = self.to(device)(whole)[0]
        return chosen

    def _scores(self, tokens: Tensor) -> Tensor:
        """Scores (B, H, W) int64 of grids (B, G, H, W)."""
        if self.places is not None:
            return self.places.expand(len(tokens), -1, -1)
        return _OF_CODES[self.score](tokens.long())


def decode_partial(decode: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
    """Decode grids to images that are grey where positions are missing.

    Args:
        decode: from grids (B, G, H, W) of which no position is missing to images; a tokenizer's.
        tokens: (B, G, H, W) integers, -1 where a code is missing.

    Returns:
        (B, 3, S, S) uint8.
    """
    is_missing = tokens[:, 0] < 0
    if not is_missing.any():
        return decode(tokens)
    images = decode(tokens.masked_fill(is_missing[:, None], 0))
    side = images.shape[-1] // tokens.shape[-1]
    pixels = is_missing.repeat_interleave(side, 1).repeat_interleave(side, 2)
    return images.masked_fill(pixels[:, None].to(images.device), GREY)
