"""Autoencoders compared with the package's: attention, finite scalar quantisation, product codes.

Symbols: B batch, C channels, H x W grid, D code dimension, K codes.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.mirror import PairsToCode, ToPairs
from seit_cl.tokenizers.nets.vqae import VQAutoencoder

FSQ_LEVELS = 4  # of each of FSQ_DIM dimensions: 1,024 codes
FSQ_DIM = 5


class Attention(nn.Module):
    """Self-attention and an MLP over all positions of pairs: (B, C, H, W) -> the same.

    Both commute with mirroring, as the heads come in pairs. A 3 x 3 depthwise convolution encodes
    positions for grids of any size (Chu et al., CPVT, ICLR 2023).

    Args:
        width: C.
        heads: number of attention heads.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Parameter(torch.randn(width // 2, 1, 3, 3) / 3)
        self.qkv = nn.ModuleList([ToPairs("pairs", width, width, 1) for _ in range(3)])
        self.out = ToPairs("pairs", width, width, 1)
        self.wide = ToPairs("pairs", width, 2 * width, 1)
        self.narrow = ToPairs("pairs", 2 * width, width, 1)
        nn.init.zeros_(self.out.norm.weight)
        nn.init.zeros_(self.narrow.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        channels = x.shape[1]
        positions = torch.cat([self.place, self.place.flip(-1)])
        x = x + F.conv2d(x, positions, padding=1, groups=channels)
        queries, keys, values = (self._split_heads(layer(x)) for layer in self.qkv)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        mixed = mixed.transpose(2, 3).reshape(x.shape)
        x = x + self.out(mixed.contiguous(memory_format=torch.channels_last))
        return x + self.narrow(F.gelu(self.wide(x)))

    def _split_heads(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, heads, H W, C / heads)."""
        batch, channels = x.shape[:2]
        return x.reshape(batch, self.heads, channels // self.heads, -1).transpose(2, 3)


class Mixed(VQAutoencoder):
    """Convolutions to stride 8, then attention instead of the last two blocks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        width = self.config["width"]
        *before, _, _, to_code = self.encoder
        self.encoder = nn.Sequential(*before, Attention(width), Attention(width), to_code)


class ViT(VQAutoencoder):
    """Patches of 8 px, then four blocks of attention, as in the encoder of ViT-VQGAN."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        width = self.config["width"]
        dim = self.config["dim"]
        self.encoder = nn.Sequential(
            ToPairs("image", 3, width, 8, 8),
            nn.ReLU(),
            *[Attention(width) for _ in range(4)],
            PairsToCode(width, dim),
        )


class FSQ(VQAutoencoder):
    """Finite scalar quantisation (Mentzer et al., ICLR 2024): codes are found by rounding alone."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "dim": FSQ_DIM})
        values = torch.linspace(-1, 1, FSQ_LEVELS)
        # The last dimension is odd: its sign distinguishes a code from its mirror image.
        positive = values[FSQ_LEVELS // 2 :]
        first = torch.cartesian_prod(values, values, values, values, positive)
        self.codebook.copy_(torch.cat([first, first * self.signs]))

    def project(self, encoded: Tensor) -> Tensor:
        """Latents (B, D, H, W) in the range of the levels."""
        return torch.tanh(encoded)

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (B, H, W) of latents (B, D, H, W), by rounding every dimension."""
        rounded = ((latents + 1) / 2 * (FSQ_LEVELS - 1)).round().long()
        levels = rounded.clamp(0, FSQ_LEVELS - 1).permute(0, 2, 3, 1)
        mirrored = levels[..., -1] < FSQ_LEVELS // 2
        odd = self.signs < 0
        levels = torch.where(mirrored[..., None] & odd, FSQ_LEVELS - 1 - levels, levels)
        levels[..., -1] -= FSQ_LEVELS // 2
        place_values = levels.new_tensor([4**3 * 2, 4**2 * 2, 4 * 2, 2, 1])
        return (levels * place_values).sum(-1) + len(self.codebook) // 2 * mirrored


class Product(VQAutoencoder):
    """Product codes (Jégou et al., TPAMI 2011): two codebooks, each for half of the dimensions.

    They have 32 codes each, which makes 1,024 pairs, or 10 bits. The dimensions are the even ones
    of both halves, then the odd ones, so that mirroring acts on a pair as on any code.

    Attributes:
        place: dimensions (2, D / 2) of each half.
        halves: signs and codebook of each half.
    """

    place: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        dimensions = torch.arange(self.config["dim"]).reshape(2, 2, -1)
        self.register_buffer("place", dimensions.transpose(0, 1).reshape(2, -1), persistent=False)
        self.codes_each = math.isqrt(len(self.codebook))
        self.halves = [SimpleNamespace(signs=self.signs[place]) for place in self.place]
        for half in self.halves:
            first = F.normalize(torch.randn(self.codes_each // 2, len(half.signs)), dim=1)
            half.codebook = torch.cat([first, first * half.signs])
        self.compose()

    def project(self, encoded: Tensor) -> Tensor:
        """Latents (B, D, H, W): each half on a sphere of its own, both on the unit sphere."""
        parts = [F.normalize(encoded[:, place], dim=1) for place in self.place]
        joined = (torch.stack(parts, 1) / math.sqrt(2)).flatten(1, 2)
        return joined[:, self.place.flatten().argsort()]

    def compose(self) -> None:
        """Compose the codebook (K, D) of all pairs from the codebooks of both halves."""
        one, two = (half.codebook / math.sqrt(2) for half in self.halves)
        each = self.codes_each
        first_half = one[: each // 2].repeat_interleave(each, 0)
        second_half = two.repeat(each // 2, 1)
        pairs = torch.cat([first_half, second_half], 1)
        first = pairs[:, self.place.flatten().argsort()]
        self.codebook.copy_(torch.cat([first, first * self.signs]))

    def split(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Split indices of pairs, of any shape, into the indices of both halves."""
        pairs = len(self.codebook) // 2
        mirrored = indices >= pairs
        first = (indices % pairs) // self.codes_each
        second = (indices % pairs) % self.codes_each
        shift = self.codes_each // 2 * mirrored
        return first + shift, (second + shift) % self.codes_each
