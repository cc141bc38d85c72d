"""Quantisers without a codebook: every dimension of a latent is rounded on its own.

- FSQ, finite scalar quantisation (Mentzer et al., ICLR 2024): each dimension, bounded by tanh, is
  rounded to one of its levels. The levels are symmetric about 0, as in Parker et al.
  (arXiv:2411.19842), so that mirroring an image maps codes to codes.
- BSQ, binary spherical quantisation (Zhao et al., arXiv:2406.07548): the signs of a unit vector,
  lookup-free as in MAGVIT-v2 (Yu et al., ICLR 2024).

A position has G codes of equally many dimensions each, so that tables with a row for each code stay
small. The vector of a code is computed.

Symbols: B batch, D dimensions, G codes of a position, K codes of a group, H x W grid.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_CODES = 1 << 12  # K; with more, a position has several codes
MOST_DIMENSIONS = 64
MOST_LEVELS = 256  # of a dimension
# A latent this close below the middle of two levels takes the upper one. Where an image is its own
# mirror image, odd dimensions are 0 up to rounding, which must not decide.
TIE = 1e-4
CERTAIN = 1e-6  # smallest probability in an entropy, whose gradient is infinite at 0
EXAMPLES = "write e.g. fsq:8,5,5,5 (levels of each dimension) or bsq:18 (bits)"


class ScalarQuantiser(nn.Module):
    """Rounding of latents (B, D, H, W) to codes (B, G, H, W), and back to the codes' vectors.

    Args:
        spec: "fsq:8,5,5,5", the levels of each dimension, or "bsq:18", the number of bits.

    Raises:
        ValueError: another spec, or dimensions that cannot be divided into groups.

    Attributes:
        sizes: levels (D,) int64 of each dimension.
        places: place value (D,) int64 of each dimension in its group's code.
    """

    sizes: Tensor
    places: Tensor

    def __init__(self, spec: str) -> None:
        super().__init__()
        self.kind, levels = parse_quantiser(spec)
        self.spec = spec
        self.groups = _groups(spec, levels)
        self.dim = len(levels)
        each = self.dim // self.groups
        self.codes_each = math.prod(levels[:each])
        places = [math.prod(levels[:i]) for i in range(each)]
        # On a meta device, which a file is checked on, buffers stay without values.
        self.register_buffer("sizes", torch.tensor(levels), persistent=False)
        self.register_buffer("places", torch.tensor(places * self.groups), persistent=False)

    @property
    def codebooks(self) -> Tensor:
        """Vectors (G, K, D / G) float32 of all codes."""
        codes = torch.arange(self.codes_each, device=self.sizes.device)
        vectors = self.vectors(codes.expand(self.groups, -1)[None, :, :, None])  # (1, D, K, 1)
        return vectors[0, :, :, 0].unflatten(0, (self.groups, -1)).transpose(1, 2).contiguous()

    def bound(self, encoded: Tensor) -> Tensor:
        """Latents (B, D, H, W) in the range of the levels, of any numbers (B, D, H, W)."""
        return torch.tanh(encoded) if self.kind == "fsq" else F.normalize(encoded, dim=1)

    def codes(self, latents: Tensor) -> Tensor:
        """Codes (B, G, H, W) int64 of latents (B, D, H, W)."""
        last = self.sizes[:, None, None] - 1
        if self.kind == "fsq":
            levels = ((latents + 1) * last / 2 + 0.5 + TIE).floor().long()
            levels = torch.minimum(levels.clamp_min(0), last)
        else:
            levels = (latents >= -TIE / 2).long()
        return self._join(levels)

    def vectors(self, codes: Tensor) -> Tensor:
        """Vectors (B, D, H, W) float32 of codes (B, G, H, W)."""
        last = self.sizes[:, None, None] - 1
        values = 2 * self._split(codes) / last - 1
        return values if self.kind == "fsq" else values / math.sqrt(self.dim)

    def mirror(self, signs: Tensor) -> Tensor:
        """Codes (G, K) int64 that replace each code where some dimensions change their sign.

        Args:
            signs: (D,), -1 for those dimensions and 1 for the others.
        """
        codes = torch.arange(self.codes_each, device=self.sizes.device)
        levels = self._split(codes.expand(self.groups, -1)[None, :, :, None])
        mirrored = self.sizes[:, None, None] - 1 - levels
        kept = signs[:, None, None] > 0
        return self._join(torch.where(kept, levels, mirrored))[0, :, :, 0]

    def penalty(self, latents: Tensor) -> Tensor:
        """Loss beside the reconstruction, a scalar; 0 for FSQ.

        For BSQ it is the entropy of a position's bits minus that of bits of the whole batch, in
        nats a bit: latents are drawn to codes, and each bit to one and zero alike. A bit's
        probability is that of a softmax of squared distances; a latent at its code has 0.98.

        Args:
            latents: (B, D, H, W).
        """
        if self.kind == "fsq":
            return latents.new_zeros(())
        ones = torch.sigmoid(4 * math.sqrt(self.dim) * latents)
        return _bit_entropy(ones).mean() - _bit_entropy(ones.mean((0, 2, 3))).mean()

    def _split(self, codes: Tensor) -> Tensor:
        """Levels (B, D, H, W) int64 of the dimensions of codes (B, G, H, W)."""
        each = self.dim // self.groups
        repeated = codes.repeat_interleave(each, 1)
        return repeated // self.places[:, None, None] % self.sizes[:, None, None]

    def _join(self, levels: Tensor) -> Tensor:
        """Codes (B, G, H, W) of levels (B, D, H, W); the first dimension is the lowest place."""
        return (levels * self.places[:, None, None]).unflatten(1, (self.groups, -1)).sum(2)


def parse_quantiser(spec: str) -> tuple[Literal["fsq", "bsq"], list[int]]:
    """Parse "fsq:8,5,5,5" or "bsq:18" to its kind and the levels of each dimension.

    Raises:
        ValueError: another syntax, or numbers out of range.
    """
    match = re.fullmatch(r"(?:fsq:(\d{1,3}(?:,\d{1,3})*)|bsq:(\d{1,3}))", spec)
    if match is None:
        raise ValueError(f"quantiser {spec}: {EXAMPLES}")
    if match[2]:
        bits = int(match[2])
        if not 2 <= bits <= MOST_DIMENSIONS:
            raise ValueError(f"quantiser {spec}: 2 to {MOST_DIMENSIONS} bits are possible")
        return "bsq", [2] * bits
    levels = [int(level) for level in match[1].split(",")]
    if (
        not 2 <= len(levels) <= MOST_DIMENSIONS
        or not 2 <= min(levels) <= max(levels) <= MOST_LEVELS
    ):
        raise ValueError(
            f"quantiser {spec}: 2 to {MOST_DIMENSIONS} dimensions of 2 to {MOST_LEVELS} levels are "
            "possible"
        )
    return "fsq", levels


def _groups(spec: str, levels: list[int]) -> int:
    """Smallest number of groups with the same levels that have MOST_CODES codes at most.

    Raises:
        ValueError: there is none, or its groups have one dimension.
    """
    dimensions = len(levels)
    for groups in range(1, dimensions // 2 + 1):
        each = dimensions // groups
        alike = dimensions % groups == 0 and levels == levels[:each] * groups
        if alike and math.prod(levels[:each]) <= MOST_CODES:
            return groups
    raise ValueError(
        f"quantiser {spec}: its dimensions must be divisible into groups with the same levels, of "
        f"at most {MOST_CODES:,} codes, e.g. fsq:8,5,5,8,5,5 or bsq:18"
    )


def _bit_entropy(probability: Tensor) -> Tensor:
    """Entropy in nats of bits that are 1 with these probabilities, of any shape."""
    inside = probability.clamp(CERTAIN, 1 - CERTAIN)
    return torch.special.entr(inside) + torch.special.entr(1 - inside)
