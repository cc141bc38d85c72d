"""VQGAN (Esser, Rombach and Ommer, CVPR 2021, arXiv:2012.09841), compatible with checkpoints.

Tensor names are those of the checkpoints of github.com/CompVis (taming-transformers and
latent-diffusion); the code was written for this package. The architecture, with the places of
attention, is read from the names and shapes of a checkpoint's tensors.

Symbols: B batch, C channels, Z feature channels, H x W grid, S image side in pixels, D code
dimension, K codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.vqgan_codes import NearestQuantizer, OneCode, Quantizer, Shapes

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


class StridedEncoder(nn.Module):
    """From images (B, 3, S, S) to features (B, Z, H, W).

    Attributes:
        stride: S / H.
    """

    stride: int


class Encoder(StridedEncoder):
    """From images (B, 3, S, S) to features (B, Z, H, W).

    Args:
        shapes: of its tensors, by name.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.conv_in = conv(shapes, "conv_in")
        self.down = nn.ModuleList(levels(shapes, "down", "downsample", unchanged=-1))
        self.mid = Middle(shapes["conv_out.weight"][1])
        self.norm_out = norm(shapes["conv_out.weight"][1])
        self.conv_out = conv(shapes, "conv_out")
        self.stride = 2 ** (len(self.down) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, Z, H, W)."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """From features (B, Z, H, W) to images (B, 3, S, S).

    Args:
        shapes: of its tensors, by name.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.conv_in = conv(shapes, "conv_in")
        self.mid = Middle(shapes["conv_in.weight"][0])
        # The largest resolution is the first.
        self.up = nn.ModuleList(levels(shapes, "up", "upsample", unchanged=0))
        self.norm_out = norm(shapes["conv_out.weight"][1])
        self.conv_out = conv(shapes, "conv_out")

    def forward(self, x: Tensor) -> Tensor:
        """(B, Z, H, W) -> (B, 3, S, S)."""
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))  # type: ignore[no-any-return]


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


class VQGAN(OneCode, nn.Module):
    """Encoder, codebook and decoder with the tensors of a checkpoint.

    Args:
        shapes: of the checkpoint's tensors, by name, among them all of ANCHORS.
        encoder: makes the encoder of the shapes of its tensors.
        decoder: makes the decoder, likewise.
        quantizer: makes the quantizer, likewise.
    """

    def __init__(
        self,
        shapes: Shapes,
        encoder: Callable[[Shapes], StridedEncoder] = Encoder,
        decoder: Callable[[Shapes], nn.Module] = Decoder,
        quantizer: Callable[[Shapes], Quantizer] = NearestQuantizer,
    ) -> None:
        super().__init__()
        self.encoder = encoder(under(shapes, "encoder."))
        self.decoder = decoder(under(shapes, "decoder."))
        self.quantize = quantizer(under(shapes, "quantize."))
        features = shapes["encoder.conv_out.weight"][0]
        dim = self.quantize.codebook.shape[1]
        self.quant_conv = nn.Conv2d(features, dim, 1)
        self.post_quant_conv = nn.Conv2d(dim, shapes["decoder.conv_in.weight"][1], 1)
        self.stride = self.encoder.stride
        self.CODES = self.quantize.CODES

    @property
    def vectors(self) -> Tensor:
        """Code vectors (K, D)."""
        return self.quantize.codebook

    def check_grid(self, height: int, width: int) -> None:
        """Accept every grid: convolutions and attention without positions take any size."""

    def latents(self, images: Tensor) -> Tensor:
        """Latents (B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.quant_conv(self.encoder(images))  # type: ignore[no-any-return]

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes (B, H, W) int64 of latents (B, D, H, W)."""
        return self.quantize(latents)  # type: ignore[no-any-return]

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of codes (B, H, W)."""
        return F.embedding(indices, self.vectors).permute(0, 3, 1, 2)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S), roughly in [-1, 1], of code vectors (B, D, H, W)."""
        return self.decoder(self.post_quant_conv(embedded))  # type: ignore[no-any-return]


# Tensors that every checkpoint has and that fix the sizes of the model.
ANCHORS = (
    "encoder.conv_in.weight",
    "encoder.down.0.block.0.conv1.weight",
    "encoder.conv_out.weight",
    "decoder.conv_in.weight",
    "decoder.up.0.block.0.conv1.weight",
    "decoder.conv_out.weight",
)


def under(shapes: Shapes, prefix: str) -> Shapes:
    """Shapes of the tensors under a prefix, by the rest of their names."""
    parts = {}
    for name, shape in shapes.items():
        if name.startswith(prefix):
            parts[name.removeprefix(prefix)] = shape
    return parts
