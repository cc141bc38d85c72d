"""VQGAN (Esser, Rombach and Ommer, CVPR 2021, arXiv:2012.09841), compatible with checkpoints.

Tensor names are those of the checkpoints of github.com/CompVis (taming-transformers and
latent-diffusion); the code was written for this package. The architecture, with the places of
attention, is read from the names and shapes of a checkpoint's tensors.

Symbols: B batch, C channels, Z feature channels, H x W grid, S image side in pixels, D code
dimension, K codes.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.vqgan_blocks import Middle, conv, levels, norm, under
from seit_cl.tokenizers.nets.vqgan_codes import NearestQuantizer, OneCode, Quantizer, Shapes


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
