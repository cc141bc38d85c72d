"""A small vector-quantised autoencoder in the spirit of ViT-VQGAN (Yu et al., ICLR 2022): codes on the unit sphere.

Convolutional (ConvNeXt-style blocks, Liu et al., CVPR 2022), so that any image size that the stride divides works.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8


class Block(nn.Module):
    """Depthwise 5 x 5 and pointwise convolutions with a residual path: (B, C, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.project = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.project(F.gelu(self.expand(self.norm(self.spatial(x)))))


class VQAutoencoder(nn.Module):
    """Encoder, codebook and decoder.

    Args:
        codes: codebook size K.
        dim: code dimension D.
        width: channels at stride 8; half of it at stride 4.
        depth: blocks at stride 8 on each side.
    """

    codebook: Tensor

    def __init__(self, codes: int = 1024, dim: int = 32, width: int = 128, depth: int = 4) -> None:
        super().__init__()
        self.config = {"codes": codes, "dim": dim, "width": width, "depth": depth}
        half = width // 2
        self.encoder = nn.Sequential(
            nn.Conv2d(3, half, 4, stride=4), Block(half), Block(half), nn.Conv2d(half, width, 2, stride=2),
            *[Block(width) for _ in range(depth)], nn.Conv2d(width, dim, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(dim, width, 3, padding=1), *[Block(width) for _ in range(depth)],
            nn.ConvTranspose2d(width, half, 2, stride=2), Block(half), Block(half),
            nn.Conv2d(half, 48, 3, padding=1), nn.PixelShuffle(4),
        )  # fmt: skip
        self.register_buffer("codebook", F.normalize(torch.randn(codes, dim), dim=1))

    def latents(self, images: Tensor) -> Tensor:
        """Unit vectors (B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return F.normalize(self.encoder(images), dim=1)

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (B, H, W) int64 of the nearest codes by cosine."""
        return torch.einsum("bdhw,kd->bhwk", latents, self.codebook).argmax(-1)

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of indices (B, H, W)."""
        return F.embedding(indices, self.codebook).permute(0, 3, 1, 2)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S) around [-1, 1] of code vectors (B, D, H, W)."""
        return self.decoder(embedded)
