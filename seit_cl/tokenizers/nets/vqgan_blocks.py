"""Blocks and levels of VQGAN's networks, read from the names and shapes of a checkpoint's tensors.

Tensor names are those of the checkpoints of github.com/CompVis; see nets/vqgan.py.

Symbols: B batch, C channels, H x W grid.
"""

from __future__ import annotations

import re

from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.vqgan_codes import Shapes

GROUPS = 32  # of every group normalisation in the checkpoints
EPS = 1e-6  # likewise
MOST_PARTS = 100  # levels of a network, or blocks of a level; the checkpoints have up to 5


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu and He, ECCV 2018) with the checkpoints' constants."""
    return nn.GroupNorm(GROUPS, channels, EPS)


class ResnetBlock(nn.Module):
    """Two normalised 3 x 3 convolutions with a residual connection: (B, C, H, W) -> (B, C', H, W).

    Where the number of channels changes, the residual connection has a 1 x 1 convolution.

    Args:
        inputs: C.
        outputs: C'.
        bias: the convolutions add one.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=bias)
        self.norm2 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=bias)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        if hasattr(self, "nin_shortcut"):
            x = self.nin_shortcut(x)
        return x + y


class AttnBlock(nn.Module):
    """Self-attention of one head over the positions: (B, C, H, W) -> the same.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        normed = self.norm(x)
        queries = self.q(normed).flatten(2).transpose(1, 2)
        keys = self.k(normed).flatten(2).transpose(1, 2)
        values = self.v(normed).flatten(2).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        update: Tensor = self.proj_out(mixed.transpose(1, 2).reshape(x.shape))
        return x + update


class Downsample(nn.Module):
    """Halve the sides: (B, C, H, W) -> (B, C, H/2, W/2).

    A 3 x 3 convolution of stride 2, with zeros added at the right and the bottom only.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Double the sides by repeating pixels, then convolve: (B, C, H, W) -> (B, C, 2 H, 2 W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
        larger = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(larger)  # type: ignore[no-any-return]


class Level(nn.Module):
    """The blocks of one resolution and the change to the next: (B, C, H, W) -> (B, C', H', W').

    Args:
        channels: input and output channels of each block.
        attention: every block is followed by attention.
        change: "downsample" or "upsample"; None at the last level.
        blocks: name of the list of blocks.
    """

    def __init__(
        self,
        channels: list[tuple[int, int]],
        attention: bool,
        change: str | None,
        blocks: str = "block",
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.add_module(blocks, nn.ModuleList(ResnetBlock(*pair) for pair in channels))
        self.attn = nn.ModuleList(AttnBlock(outputs) for _, outputs in channels if attention)
        self.change = change
        last_channels = channels[-1][1]
        if change == "downsample":
            self.downsample = Downsample(last_channels)
        elif change == "upsample":
            self.upsample = Upsample(last_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        for i, block in enumerate(self.get_submodule(self.blocks).children()):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        if self.change is None:
            return x
        return self.get_submodule(self.change)(x)  # type: ignore[no-any-return]


class Middle(nn.Module):
    """Block, attention, block at the lowest resolution: (B, C, H, W) -> the same.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels)
        self.block_2 = ResnetBlock(channels, channels)
        self.attn_1 = AttnBlock(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.block_2(self.attn_1(self.block_1(x)))  # type: ignore[no-any-return]


def levels(
    shapes: Shapes, folder: str, change: str, unchanged: int, blocks: str = "block"
) -> list[Level]:
    """Build the levels that tensors named e.g. "down.0.block.0.conv1.weight" describe.

    Every level but one changes the resolution, whether or not the tensors of the change exist, so
    that loading a checkpoint reports them as missing.

    Args:
        shapes: of all tensors, by name.
        folder: name of the list of levels, e.g. "down".
        change: "downsample" or "upsample".
        unchanged: index of the level that keeps its resolution, from the end where negative.
        blocks: name of the list of a level's blocks.
    """
    count = count_of(shapes, rf"{folder}\.(\d+)\.")
    built = []
    for i in range(count):
        prefix = f"{folder}.{i}."
        number = count_of(shapes, re.escape(f"{prefix}{blocks}.") + r"(\d+)\.")
        channels = [channels_of(shapes, f"{prefix}{blocks}.{j}.") for j in range(number)]
        attention = any(name.startswith(f"{prefix}attn.") for name in shapes)
        is_last = i == unchanged % count
        built.append(Level(channels, attention, None if is_last else change, blocks))
    return built


def channels_of(shapes: Shapes, block: str) -> tuple[int, int]:
    """Input and output channels of a block, of which some tensors may be missing."""
    outputs, inputs = shapes.get(f"{block}conv1.weight", (GROUPS, GROUPS))[:2]
    inputs = shapes.get(f"{block}norm1.weight", (inputs,))[0]
    outputs = shapes.get(f"{block}norm2.weight", (outputs,))[0]
    return inputs, outputs


def count_of(shapes: Shapes, pattern: str) -> int:
    """One more than the largest number that a pattern's group matches in any name.

    Raises:
        ValueError: more parts than a network has.
    """
    count = 0
    for name in shapes:
        match = re.match(pattern, name)
        if match:
            count = max(count, int(match[1]) + 1)
    if count > MOST_PARTS:
        raise ValueError(f"{count:,} levels, or blocks of a level")
    return count


def conv(shapes: Shapes, name: str) -> nn.Conv2d:
    """A 3 x 3 convolution with the channels of a named tensor."""
    outputs, inputs = shapes[f"{name}.weight"][:2]
    return nn.Conv2d(inputs, outputs, 3, 1, 1)


def under(shapes: Shapes, prefix: str) -> Shapes:
    """Shapes of the tensors under a prefix, by the rest of their names."""
    parts = {}
    for name, shape in shapes.items():
        if name.startswith(prefix):
            parts[name.removeprefix(prefix)] = shape
    return parts
