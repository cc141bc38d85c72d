"""VQGAN (Esser, Rombach and Ommer, CVPR 2021, arXiv:2012.09841) as taming-transformers and latent-diffusion publish it.

Tensor names are those of the checkpoints (github.com/CompVis); the code is our own. Everything, where attention stands too, is
read from names and shapes. Symbols: B batch, C channels, H x W grid, D code dimension, K codes.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS, EPS = 32, 1e-6  # of every group normalisation in the checkpoints
Shapes = dict[str, torch.Size]


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu and He, ECCV 2018) with the checkpoints' constants."""
    return nn.GroupNorm(GROUPS, channels, EPS)


class ResnetBlock(nn.Module):
    """Two normalised 3 x 3 convolutions beside a path that a 1 x 1 one fits where the channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.norm2, self.conv2 = norm(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        y = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + y  # type: ignore[no-any-return]


class AttnBlock(nn.Module):
    """Self-attention of one head over the positions: (B, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        normed = self.norm(x)
        queries, keys, values = (
            f(normed).flatten(2).transpose(1, 2) for f in (self.q, self.k, self.v)
        )
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return x + self.proj_out(mixed.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Halves the sides by a 3 x 3 convolution with a border of zeros at the right and the bottom only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Doubles the sides by repeating pixels, then convolves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[no-any-return]


class Level(nn.Module):
    """The blocks of one resolution, each followed by attention where there is any, and the change of resolution.

    Args:
        channels: input and output channels of each block.
        attention: whether every block is followed by attention.
        change: name of the change of resolution, "downsample" or "upsample"; None at the end.
    """

    def __init__(
        self, channels: list[tuple[int, int]], attention: bool, change: str | None
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(*pair) for pair in channels)
        self.attn = nn.ModuleList(AttnBlock(outputs) for _, outputs in channels if attention)
        self.change = change
        if change is not None:
            self.add_module(
                change, (Downsample if change == "downsample" else Upsample)(channels[-1][1])
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        return x if self.change is None else self.get_submodule(self.change)(x)  # type: ignore[no-any-return]


class Middle(nn.Module):
    """Block, attention, block at the lowest resolution: (B, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1, self.block_2 = (
            ResnetBlock(channels, channels),
            ResnetBlock(channels, channels),
        )
        self.attn_1 = AttnBlock(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.block_2(self.attn_1(self.block_1(x)))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Images (B, 3, S, S) to features (B, Z, H, W); `shapes` are those of its tensors."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.conv_in = _conv(shapes, "conv_in")
        self.down = nn.ModuleList(levels(shapes, "down"))
        self.mid = Middle(shapes["conv_out.weight"][1])
        self.norm_out, self.conv_out = norm(shapes["conv_out.weight"][1]), _conv(shapes, "conv_out")

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, Z, H, W)."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Features (B, Z, H, W) to images (B, 3, S, S); `shapes` are those of its tensors."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.conv_in = _conv(shapes, "conv_in")
        self.mid = Middle(shapes["conv_in.weight"][0])
        self.up = nn.ModuleList(levels(shapes, "up"))  # by resolution, the largest first
        self.norm_out, self.conv_out = norm(shapes["conv_out.weight"][1]), _conv(shapes, "conv_out")

    def forward(self, x: Tensor) -> Tensor:
        """(B, Z, H, W) -> (B, 3, S, S)."""
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))  # type: ignore[no-any-return]


def levels(shapes: Shapes, way: str) -> list[Level]:
    """The levels that tensors "down.0.block.0.conv1.weight" and so on have; `way` is "down" or "up".

    The change of resolution is where the architecture has it, so that a missing one is found missing.
    """
    count = _count(shapes, rf"{way}\.(\d+)\.")
    found = []
    for i in range(count):
        blocks = _count(shapes, rf"{way}\.{i}\.block\.(\d+)\.")
        channels = [_channels(shapes, f"{way}.{i}.block.{j}.") for j in range(blocks)]
        attention = any(name.startswith(f"{way}.{i}.attn.") for name in shapes)
        last = count - 1 if way == "down" else 0
        change = None if i == last else f"{way}sample"
        found.append(Level(channels, attention, change))
    return found


def _channels(shapes: Shapes, block: str) -> tuple[int, int]:
    """Input and output channels of a block, whatever tensor of it may be missing."""
    outputs, inputs = shapes.get(f"{block}conv1.weight", (GROUPS, GROUPS))[:2]
    return shapes.get(f"{block}norm1.weight", (inputs,))[0], shapes.get(
        f"{block}norm2.weight", (outputs,)
    )[0]


def _count(shapes: Shapes, pattern: str) -> int:
    return 1 + max(
        (int(match[1]) for name in shapes if (match := re.match(pattern, name))), default=-1
    )


def _conv(shapes: Shapes, name: str) -> nn.Conv2d:
    outputs, inputs = shapes[f"{name}.weight"][:2]
    return nn.Conv2d(inputs, outputs, 3, 1, 1)


class NearestQuantizer(nn.Module):
    """The K code vectors; the nearest by Euclidean distance is taken."""

    CODES: tuple[str, ...] = ("quantize.embedding.weight",)

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(*shapes["embedding.weight"])

    @property
    def codebook(self) -> Tensor:
        """(K, D)."""
        return self.embedding.weight

    def forward(self, latents: Tensor) -> Tensor:
        """(B, D, H, W) -> codes (B, H, W) int64, the first of equally near ones."""
        return nearest(latents, self.codebook)


class GumbelQuantizer(nn.Module):
    """K code vectors, and a map that says which is taken: taming's f8 with 8,192 codes."""

    CODES: tuple[str, ...] = ("quantize.embed.weight", "quantize.proj.weight", "quantize.proj.bias")

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        codes, dim = shapes["embed.weight"]
        self.embed, self.proj = nn.Embedding(codes, dim), nn.Conv2d(dim, codes, 1)

    @property
    def codebook(self) -> Tensor:
        """(K, D)."""
        return self.embed.weight

    def forward(self, latents: Tensor) -> Tensor:
        """(B, D, H, W) -> codes (B, H, W) int64, the first of equally likely ones."""
        return self.proj(latents).argmax(1)  # type: ignore[no-any-return]


def nearest(latents: Tensor, codebook: Tensor) -> Tensor:
    """Codes (B, H, W) int64 of the vectors of a codebook (K, D) nearest to latents (B, D, H, W) by Euclidean distance."""
    flat = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    distances = torch.addmm(codebook.square().sum(1), flat, codebook.T, alpha=-2)
    return distances.argmin(1).view(len(latents), *latents.shape[2:])


class VQGAN(nn.Module):
    """Encoder, codebook and decoder with tensors of these names and shapes.

    Args:
        shapes: by name, as in a checkpoint; every one of ANCHORS is among them.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        parts = {name: _under(shapes, f"{name}.") for name in ("encoder", "decoder", "quantize")}
        self.encoder, self.decoder = Encoder(parts["encoder"]), Decoder(parts["decoder"])
        gumbel = "embed.weight" in parts["quantize"]
        self.quantize: NearestQuantizer | GumbelQuantizer = (
            GumbelQuantizer if gumbel else NearestQuantizer
        )(parts["quantize"])
        features, dim = shapes["encoder.conv_out.weight"][0], self.quantize.codebook.shape[1]
        self.quant_conv = nn.Conv2d(features, dim, 1)
        self.post_quant_conv = nn.Conv2d(dim, shapes["decoder.conv_in.weight"][1], 1)
        self.stride = 2 ** (len(self.encoder.down) - 1)
        self.CODES = self.quantize.CODES

    @property
    def vectors(self) -> Tensor:
        """(K, D)."""
        return self.quantize.codebook

    def check_grid(self, height: int, width: int) -> None:
        """Every grid will do: convolutions, and attention without positions."""

    def latents(self, images: Tensor) -> Tensor:
        """(B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.quant_conv(self.encoder(images))  # type: ignore[no-any-return]

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes (B, H, W) int64 of latents (B, D, H, W)."""
        return self.quantize(latents)  # type: ignore[no-any-return]

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of codes (B, H, W)."""
        return F.embedding(indices, self.vectors).permute(0, 3, 1, 2)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S) around [-1, 1] of code vectors (B, D, H, W)."""
        return self.decoder(self.post_quant_conv(embedded))  # type: ignore[no-any-return]


ANCHORS = tuple(
    f"{side}.{name}.weight"
    for side, way in (("encoder", "down"), ("decoder", "up"))
    for name in ("conv_in", f"{way}.0.block.0.conv1", "conv_out")
)


def _under(shapes: Shapes, prefix: str) -> Shapes:
    return {
        name.removeprefix(prefix): shape
        for name, shape in shapes.items()
        if name.startswith(prefix)
    }
