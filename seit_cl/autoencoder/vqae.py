"""A small vector-quantised autoencoder in the spirit of ViT-VQGAN (Yu et al., ICLR 2022): codes on the unit sphere.

Convolutional residual blocks (He et al., CVPR 2016), so that any image size that the stride divides works. The mirror
image of a picture has the mirrored grid of partner codes (seit_cl.autoencoder.mirror), which lets a learner mirror stored tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.autoencoder.mirror import PairsToCode, PairsToImage, ToPairs, signs

STRIDE = 8
TIE = 1e-4  # difference in cosine under which two partner codes are as near: then the first of them


class Block(nn.Module):
    """Two 3 x 3 convolutions with a residual path: (B, C, H, W) -> the same. It starts as the identity of positive values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = ToPairs("pairs", width, width, 3), ToPairs("pairs", width, width, 3)
        nn.init.zeros_(self.second.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class VQAutoencoder(nn.Module):
    """Encoder, codebook and decoder.

    Args:
        codes: codebook size K, even: code k + K/2 is the mirror image of code k.
        dim: code dimension D.
        width: channels at stride 8, a multiple of 4; half of it at stride 4.
        depth: blocks of the encoder at stride 8; it has one more at stride 4; the decoder has one, at stride 8.
    """

    codebook: Tensor
    signs: Tensor

    def __init__(self, codes: int = 1024, dim: int = 32, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        self.config = {"codes": codes, "dim": dim, "width": width, "depth": depth}
        half = width // 2
        self.encoder = nn.Sequential(
            ToPairs("image", 3, half, 8, 4), nn.ReLU(), Block(half),
            ToPairs("pairs", half, width, 4, 2), nn.ReLU(), *[Block(width) for _ in range(depth)], PairsToCode(width, dim),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            ToPairs("code", dim, width, 3), nn.ReLU(), Block(width),
            nn.Upsample(scale_factor=2), ToPairs("pairs", width, half, 3), nn.ReLU(), PairsToImage(half, 8, 4),
        )  # fmt: skip
        self.register_buffer("signs", signs(dim), persistent=False)
        first = F.normalize(torch.randn(codes // 2, dim), dim=1)
        self.register_buffer("codebook", torch.cat([first, first * self.signs]))

    def latents(self, images: Tensor) -> Tensor:
        """Unit vectors (B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.project(self.encoder(images))

    def project(self, encoded: Tensor) -> Tensor:
        """Latents (B, D, H, W) of what the encoder gives: on the unit sphere."""
        return F.normalize(encoded, dim=1)

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (B, H, W) int64 of the nearest codes by cosine.

        Where partners are as near, as in a mirror-symmetric spot, rounding does not decide: it is the first of them.
        """
        half, even = len(self.codebook) // 2, (len(self.signs) + 1) // 2
        first = self.codebook[:half]
        flat = latents.permute(0, 2, 3, 1)
        alike, apart = flat[..., :even] @ first[:, :even].T, flat[..., even:] @ first[:, even:].T
        best = (alike + apart.abs()).argmax(-1, keepdim=True)
        return (best + half * (apart.gather(-1, best) < -TIE / 2)).squeeze(-1)

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of indices (B, H, W)."""
        return F.embedding(indices, self.codebook).permute(0, 3, 1, 2)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S) around [-1, 1] of code vectors (B, D, H, W)."""
        return self.decoder(embedded)
