"""Open-MAGVIT2's image tokenizers (Luo et al., arXiv:2409.04410), compatible with checkpoints.

Tensor names are those of the checkpoints of github.com/TencentARC/SEED-Voken; the code was written
for this package. Quantisation is lookup-free (MAGVIT-v2: Yu et al., ICLR 2024): the sign of every
channel is a bit. Sizes are read from the names and shapes of the tensors.

Symbols: B batch, C channels, N bits per position, G groups of bits, H x W grid, S image side in
pixels.
"""

from __future__ import annotations

import re
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.tokenizers.nets.vqgan_blocks import (
    EPS,
    GROUPS,
    ResnetBlock,
    channels_of,
    count_of,
    norm,
    under,
)
from seit_cl.tokenizers.nets.vqgan_codes import Shapes

# Bits of a code. A code of 18 bits is stored as two of 9, as Open-MAGVIT2's own generator takes
# them (factorized_bits): tokens are int16, and tables with a row for each code stay small.
MOST_BITS = 9


def blocks(shapes: Shapes, name: str) -> nn.Sequential:
    """Build the blocks that tensors named e.g. "mid_block.0.conv1.weight" describe.

    Args:
        shapes: of all tensors, by name.
        name: of the list of blocks.
    """
    count = count_of(shapes, re.escape(name) + r"\.(\d+)\.")
    channels = [channels_of(shapes, f"{name}.{j}.") for j in range(count)]
    return nn.Sequential(*(ResnetBlock(*pair, bias=False) for pair in channels))


class Upsample(nn.Module):
    """Double the sides: a convolution to four times the channels, which become 2 x 2 pixels.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4 * channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
        # Channel (2 i + j) C + c is pixel (i, j) of channel c; pixel_shuffle takes c before (i, j).
        by_pixel = self.conv1(x).unflatten(1, (4, -1))
        return F.pixel_shuffle(by_pixel.transpose(1, 2).flatten(1, 2), 2)


class Level(nn.Module):
    """The blocks of one resolution and the change to the next: (B, C, H, W) -> (B, C', H', W').

    Args:
        shapes: of the level's tensors, by name.
        change: "downsample" or "upsample"; None at the last level.
    """

    def __init__(self, shapes: Shapes, change: str | None) -> None:
        super().__init__()
        self.block = blocks(shapes, "block")
        _, channels = channels_of(shapes, f"block.{len(self.block) - 1}.")
        self.change = change
        if change == "downsample":
            self.downsample = nn.Conv2d(channels, channels, 3, 2, 1)
        elif change == "upsample":
            self.upsample = Upsample(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        x = self.block(x)
        if self.change is None:
            return x
        return self.get_submodule(self.change)(x)  # type: ignore[no-any-return]


def levels(shapes: Shapes, folder: str, change: str, unchanged: int) -> nn.ModuleList:
    """Build the levels that tensors named e.g. "down.0.block.0.conv1.weight" describe.

    Args:
        shapes: of all tensors, by name.
        folder: name of the list of levels.
        change: "downsample" or "upsample".
        unchanged: index of the level that keeps its resolution, from the end where negative.
    """
    count = count_of(shapes, rf"{folder}\.(\d+)\.")
    built = nn.ModuleList()
    for i in range(count):
        is_last = i == unchanged % count
        built.append(Level(under(shapes, f"{folder}.{i}."), None if is_last else change))
    return built


class Encoder(nn.Module):
    """From images (B, 3, S, S) to latents (B, N, H, W).

    Args:
        shapes: of its tensors, by name.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        width, colours = shapes["conv_in.weight"][:2]
        bits, last = shapes["conv_out.weight"][:2]
        self.conv_in = nn.Conv2d(colours, width, 3, 1, 1, bias=False)
        self.down = levels(shapes, "down", "downsample", unchanged=-1)
        self.mid_block = blocks(shapes, "mid_block")
        self.norm_out = norm(last)
        self.conv_out = nn.Conv2d(last, bits, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, N, H, W)."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid_block(x))))  # type: ignore[no-any-return]


class AdaptiveNorm(nn.Module):
    """Group normalisation whose scale and shift depend on the bits of the whole image.

    Args:
        bits: N.
        channels: C.
    """

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Linear(bits, channels)
        self.beta = nn.Linear(bits, channels)

    def forward(self, x: Tensor, signs: Tensor) -> Tensor:
        """(B, C, H', W') with signs (B, N, H, W) -> (B, C, H', W')."""
        by_channel = signs.flatten(2)
        scale = self.gamma((by_channel.var(2) + EPS).sqrt())
        shift = self.beta(by_channel.mean(2))
        return F.group_norm(x, GROUPS, eps=EPS) * scale[..., None, None] + shift[..., None, None]


class Decoder(nn.Module):
    """From signs (B, N, H, W) to images (B, 3, S, S).

    Args:
        shapes: of its tensors, by name.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        width, bits = shapes["conv_in.weight"][:2]
        colours, last = shapes["conv_out.weight"][:2]
        self.conv_in = nn.Conv2d(bits, width, 3, 1, 1)
        self.mid_block = blocks(shapes, "mid_block")
        # The largest resolution is the first.
        self.up = levels(shapes, "up", "upsample", unchanged=0)
        self.adaptive = nn.ModuleList()
        for i in range(len(self.up)):
            inputs, _ = channels_of(shapes, f"up.{i}.block.0.")
            self.adaptive.append(AdaptiveNorm(bits, inputs))
        self.norm_out = norm(last)
        self.conv_out = nn.Conv2d(last, colours, 3, 1, 1)

    def forward(self, signs: Tensor) -> Tensor:
        """(B, N, H, W) -> (B, 3, S, S)."""
        x = self.mid_block(self.conv_in(signs))
        for adaptive, level in zip(reversed(self.adaptive), reversed(self.up), strict=True):
            x = level(adaptive(x, signs))
        return self.conv_out(F.silu(self.norm_out(x)))  # type: ignore[no-any-return]


class OpenMAGVIT2(nn.Module):
    """Encoder and decoder with the tensors of a checkpoint, and codes of the latents' signs.

    The N bits of a position are G codes of N / G bits. The first channel of a group is the lowest
    bit of its code; a set bit is a positive channel.

    Args:
        shapes: of the checkpoint's tensors, by name, among them all of ANCHORS.
    """

    CODES: tuple[str, ...] = ()
    combine: Literal["sum", "concat"] = "concat"
    row = 1

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.encoder = Encoder(under(shapes, "encoder."))
        self.decoder = Decoder(under(shapes, "decoder."))
        self.stride = 2 ** (len(self.encoder.down) - 1)
        bits = shapes["encoder.conv_out.weight"][0]
        self.bits = max(n for n in range(1, MOST_BITS + 1) if bits % n == 0)
        self.groups = bits // self.bits

    @property
    def codebooks(self) -> Tensor:
        """Signs (G, 2^n, n) of every code of n bits."""
        codes = torch.arange(2**self.bits)
        return self._signs(codes[:, None]).expand(self.groups, -1, -1)

    def check_grid(self, height: int, width: int) -> None:
        """Refuse a grid of one position, whose bits have no variance.

        Raises:
            UserError: naming the smallest side.
        """
        if height * width < 2:
            raise UserError(
                f"images of {self.stride} x {self.stride} px: Open-MAGVIT2 needs more than one "
                f"position; choose --resolution {2 * self.stride}"
            )

    def latents(self, images: Tensor) -> Tensor:
        """Latents (B, N, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.encoder(images)  # type: ignore[no-any-return]

    def codes(self, latents: Tensor) -> Tensor:
        """Codes (B, G, H, W) int64 of latents (B, N, H, W)."""
        set_bits = (latents > 0).unflatten(1, (self.groups, self.bits)).long()
        values = 2 ** torch.arange(self.bits, device=latents.device)
        return (set_bits * values[:, None, None]).sum(2)

    def look_up(self, codes: Tensor) -> Tensor:
        """Signs (B, N, H, W) of codes (B, G, H, W)."""
        signs = self._signs(codes[..., None])  # (B, G, H, W, n)
        return signs.permute(0, 1, 4, 2, 3).flatten(1, 2)

    def _signs(self, codes: Tensor) -> Tensor:
        """Signs (..., n) float32 of codes (..., 1), the lowest bit first."""
        places = torch.arange(self.bits, device=codes.device)
        return ((codes >> places) & 1) * 2.0 - 1.0

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S), roughly in [-1, 1], of signs (B, N, H, W)."""
        return self.decoder(embedded)  # type: ignore[no-any-return]


# Tensors that every checkpoint has and that fix the sizes of the model.
ANCHORS = (
    "encoder.conv_in.weight",
    "encoder.down.0.block.0.conv1.weight",
    "encoder.conv_out.weight",
    "decoder.conv_in.weight",
    "decoder.up.0.block.0.conv1.weight",
    "decoder.adaptive.0.gamma.weight",
    "decoder.conv_out.weight",
)
