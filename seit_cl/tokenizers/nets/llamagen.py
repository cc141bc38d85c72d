"""LlamaGen's image tokenizers (Sun et al., arXiv:2406.06525), compatible with checkpoints.

Tensor names are those of the checkpoints of github.com/FoundationVision/LlamaGen; the code was
written for this package. The blocks are VQGAN's under other names, and the decoder counts its
levels from the smallest resolution.

Symbols: B batch, Z feature channels, H x W grid, S image side in pixels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.vqgan import VQGAN, StridedEncoder
from seit_cl.tokenizers.nets.vqgan_blocks import AttnBlock, ResnetBlock, conv, levels, norm
from seit_cl.tokenizers.nets.vqgan_codes import CosineQuantizer, Shapes


def middle(channels: int) -> nn.Sequential:
    """Block, attention, block at the lowest resolution: (B, C, H, W) -> the same.

    Args:
        channels: C.
    """
    return nn.Sequential(
        ResnetBlock(channels, channels), AttnBlock(channels), ResnetBlock(channels, channels)
    )


class Encoder(StridedEncoder):
    """From images (B, 3, S, S) to features (B, Z, H, W).

    Args:
        shapes: of its tensors, by name.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.conv_in = conv(shapes, "conv_in")
        built = levels(shapes, "conv_blocks", "downsample", unchanged=-1, blocks="res")
        self.conv_blocks = nn.Sequential(*built)
        self.mid = middle(shapes["conv_out.weight"][1])
        self.norm_out = norm(shapes["conv_out.weight"][1])
        self.conv_out = conv(shapes, "conv_out")
        self.stride = 2 ** (len(built) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, Z, H, W)."""
        x = self.mid(self.conv_blocks(self.conv_in(x)))
        return self.conv_out(F.silu(self.norm_out(x)))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """From features (B, Z, H, W) to images (B, 3, S, S).

    Args:
        shapes: of its tensors, by name.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.conv_in = conv(shapes, "conv_in")
        self.mid = middle(shapes["conv_in.weight"][0])
        built = levels(shapes, "conv_blocks", "upsample", unchanged=-1, blocks="res")
        self.conv_blocks = nn.Sequential(*built)
        self.norm_out = norm(shapes["conv_out.weight"][1])
        self.conv_out = conv(shapes, "conv_out")

    def forward(self, x: Tensor) -> Tensor:
        """(B, Z, H, W) -> (B, 3, S, S)."""
        x = self.conv_blocks(self.mid(self.conv_in(x)))
        return self.conv_out(F.silu(self.norm_out(x)))  # type: ignore[no-any-return]


class LlamaGen(VQGAN):
    """Encoder, codebook and decoder with the tensors of a checkpoint.

    Args:
        shapes: of the checkpoint's tensors, by name, among them all of ANCHORS.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__(shapes, Encoder, Decoder, CosineQuantizer)


# Tensors that every checkpoint has and that fix the sizes of the model.
ANCHORS = (
    "encoder.conv_in.weight",
    "encoder.conv_blocks.0.res.0.conv1.weight",
    "encoder.conv_out.weight",
    "decoder.conv_in.weight",
    "decoder.conv_blocks.0.res.0.conv1.weight",
    "decoder.conv_out.weight",
    "quantize.embedding.weight",
)
