"""Autoencoders that studies.ablation compares with the package's: attention, finite scalar quantisation, product codes."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.mirror import PairsToCode, ToPairs
from seit_cl.tokenizers.nets.vqae import VQAutoencoder

FSQ_LEVELS = 4  # of each of five dimensions: 1,024 codes


class Attention(nn.Module):
    """Self-attention and an MLP over all positions of pairs (B, C, H, W), which commute with mirroring: heads come in pairs.

    A 3 x 3 depthwise convolution tells positions (Chu et al., CPVT, ICLR 2023), so that any size works.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Parameter(torch.randn(width // 2, 1, 3, 3) / 3)
        self.qkv = nn.ModuleList([ToPairs("pairs", width, width, 1) for _ in range(3)])
        self.out, self.wide, self.narrow = (
            ToPairs("pairs", width, width, 1),
            ToPairs("pairs", width, 2 * width, 1),
            ToPairs("pairs", 2 * width, width, 1),
        )
        nn.init.zeros_(self.out.norm.weight)
        nn.init.zeros_(self.narrow.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, channels, height, width = x.shape
        x = x + F.conv2d(
            x, torch.cat([self.place, self.place.flip(-1)]), padding=1, groups=channels
        )
        q, k, v = (
            layer(x).reshape(batch, self.heads, channels // self.heads, -1).transpose(2, 3)
            for layer in self.qkv
        )
        mixed = (
            F.scaled_dot_product_attention(q, k, v)
            .transpose(2, 3)
            .reshape(batch, channels, height, width)
        )
        x = x + self.out(mixed.contiguous(memory_format=torch.channels_last))
        return x + self.narrow(F.gelu(self.wide(x)))


class Mixed(VQAutoencoder):
    """Convolutions to stride 8, then attention instead of the last two blocks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        width = self.config["width"]
        *before, _, _, to_code = self.encoder
        self.encoder = nn.Sequential(*before, Attention(width), Attention(width), to_code)


class ViT(VQAutoencoder):
    """Patches of 8 px, then four blocks of attention, as in ViT-VQGAN's encoder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        width, dim = self.config["width"], self.config["dim"]
        self.encoder = nn.Sequential(
            ToPairs("image", 3, width, 8, 8),
            nn.ReLU(),
            *[Attention(width) for _ in range(4)],
            PairsToCode(width, dim),
        )


class FSQ(VQAutoencoder):
    """Finite scalar quantisation (Mentzer et al., ICLR 2024): five dimensions of four levels, which only rounding assigns."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "dim": 5})
        values = torch.linspace(-1, 1, FSQ_LEVELS)
        positive = values[
            FSQ_LEVELS // 2 :
        ]  # the last dimension is odd: its sign tells a code from its partner
        first = torch.cartesian_prod(values, values, values, values, positive)
        self.codebook.copy_(torch.cat([first, first * self.signs]))

    def project(self, encoded: Tensor) -> Tensor:
        """Within the levels."""
        return torch.tanh(encoded)

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (B, H, W) by rounding every dimension."""
        levels = (
            ((latents + 1) / 2 * (FSQ_LEVELS - 1))
            .round()
            .long()
            .clamp(0, FSQ_LEVELS - 1)
            .permute(0, 2, 3, 1)
        )
        partner = levels[..., -1] < FSQ_LEVELS // 2
        odd = self.signs < 0
        levels = torch.where(partner[..., None] & odd, FSQ_LEVELS - 1 - levels, levels)
        levels[..., -1] -= FSQ_LEVELS // 2
        places = levels.new_tensor([4**3 * 2, 4**2 * 2, 4 * 2, 2, 1])
        return (levels * places).sum(-1) + len(self.codebook) // 2 * partner


class Product(VQAutoencoder):
    """Product codes (Jégou et al., TPAMI 2011): two codebooks of 32, each for half of the dimensions; 1,024 pairs, so 10 bits.

    Dimensions are the even ones of both halves, then the odd ones, so that a pair mirrors as any code does.
    """

    place: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        places = torch.arange(self.config["dim"]).reshape(2, 2, -1).transpose(0, 1).reshape(2, -1)
        self.register_buffer("place", places, persistent=False)  # dimensions of each half
        self.codes_each = math.isqrt(len(self.codebook))
        self.halves = [SimpleNamespace(signs=self.signs[place]) for place in self.place]
        for half in self.halves:
            first = F.normalize(torch.randn(self.codes_each // 2, len(half.signs)), dim=1)
            half.codebook = torch.cat([first, first * half.signs])
        self.compose()

    def project(self, encoded: Tensor) -> Tensor:
        """Both halves on spheres of their own, together on the unit sphere."""
        parts = torch.stack(
            [F.normalize(encoded[:, place], dim=1) for place in self.place], 1
        ) / math.sqrt(2)
        return parts.flatten(1, 2)[:, self.place.flatten().argsort()]

    def compose(self) -> None:
        """The codebook of all pairs."""
        one, two = (half.codebook / math.sqrt(2) for half in self.halves)
        each = self.codes_each
        pairs = torch.cat(
            [one[: each // 2].repeat_interleave(each, 0), two.repeat(each // 2, 1)], 1
        )
        first = pairs[:, self.place.flatten().argsort()]
        self.codebook.copy_(torch.cat([first, first * self.signs]))

    def split(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of both halves that make up pairs, of any shape."""
        half, mirrored = len(self.codebook) // 2, indices >= len(self.codebook) // 2
        first, second = (indices % half) // self.codes_each, (indices % half) % self.codes_each
        step = self.codes_each // 2 * mirrored
        return first + step, (second + step) % self.codes_each
