"""The decoder of MaskGIT's VQGAN (Chang et al., CVPR 2022), which TiTok's first models hold.

Tensor names are those of the checkpoints of github.com/bytedance/1d-tokenizer; the code was written
for this package.

Symbols: B batch, C channels, Z feature channels, H x W grid, S image side in pixels.
"""

from __future__ import annotations

import re

from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.vqgan_blocks import (
    ResnetBlock,
    channels_of,
    conv,
    count_of,
    norm,
    under,
)
from seit_cl.tokenizers.nets.vqgan_codes import Shapes


class PixelBlock(ResnetBlock):
    """Two normalised 3 x 3 convolutions: (B, C, H, W) -> (B, C', H, W).

    Where the number of channels changes, the project adds a convolution of the block's own output
    in the place of its input, and the weights were trained so.

    Args:
        inputs: C.
        outputs: C'.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(outputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        if hasattr(self, "nin_shortcut"):
            x = self.nin_shortcut(y)
        return x + y


def blocks(shapes: Shapes, name: str) -> nn.Sequential:
    """Build the blocks that tensors named e.g. "mid.0.conv1.weight" describe."""
    count = count_of(shapes, re.escape(name) + r"\.(\d+)\.")
    channels = [channels_of(shapes, f"{name}.{j}.") for j in range(count)]
    return nn.Sequential(*(PixelBlock(*pair) for pair in channels))


class Level(nn.Module):
    """The blocks of one resolution: (B, C, H, W) -> (B, C', 2 H, 2 W), or (B, C', H, W).

    Args:
        shapes: of the level's tensors, by name.
        upsamples: the sides are doubled.
    """

    def __init__(self, shapes: Shapes, upsamples: bool) -> None:
        super().__init__()
        self.block = blocks(shapes, "block")
        self.upsamples = upsamples
        if upsamples:
            _, channels = channels_of(shapes, f"block.{len(self.block) - 1}.")
            self.upsample_conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', 2 H, 2 W), or (B, C', H, W)."""
        x = self.block(x)
        if not self.upsamples:
            return x
        larger = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.upsample_conv(larger)  # type: ignore[no-any-return]


class PixelDecoder(nn.Module):
    """From features (B, Z, H, W) to images (B, 3, S, S) around [0, 1].

    Args:
        shapes: of its tensors, by name.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.conv_in = conv(shapes, "conv_in")
        self.mid = blocks(shapes, "mid")
        self.up = nn.ModuleList()  # the largest resolution first
        for i in range(count_of(shapes, r"up\.(\d+)\.")):
            self.up.append(Level(under(shapes, f"up.{i}."), upsamples=i > 0))
        self.norm_out = norm(shapes["conv_out.weight"][1])
        self.conv_out = conv(shapes, "conv_out")
        self.stride = 2 ** (len(self.up) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Z, H, W) -> (B, 3, S, S)."""
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))  # type: ignore[no-any-return]
