"""A small vector-quantised autoencoder in the spirit of ViT-VQGAN (Yu et al., ICLR 2022): codes on the unit sphere.

Convolutional residual blocks (He et al., CVPR 2016), so that any image size that the stride divides works. The mirror
image of a picture has the mirrored grid of partner codes (seit_cl.tokenizers.nets.mirror), which lets a learner mirror stored tokens.

With several levels it is a residual quantiser (Zeghidour et al., SoundStream, 2021; Lee et al., RQ-VAE, CVPR 2022): each level
has a codebook for what the levels before it left. They code a latent to which an encoder of their own adds detail, for the
first level's keeps what tells things apart and little more. What is left of a mirrored latent is the mirrored rest, so every
level has pairs of partner codes. The first levels alone are a tokenizer as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.mirror import PairsToCode, PairsToImage, ToPairs, signs

STRIDE = 8
FURTHER = ("residuals", "detail.")  # what only the levels after the first need
TIE = 1e-4  # difference in cosine under which two partner codes are as near: then the first of them


class Block(nn.Module):
    """Two 3 x 3 convolutions with a residual path: (B, C, H, W) -> the same. It starts as the identity of positive values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (
            ToPairs("pairs", width, width, 3),
            ToPairs("pairs", width, width, 3),
        )
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
        levels: codes of a position L: one of the codebook (K, D), and one of each of the residuals (L - 1, K, D).
    """

    codebook: Tensor
    residuals: Tensor
    detail: nn.Sequential
    signs: Tensor

    def __init__(
        self, codes: int = 1024, dim: int = 32, width: int = 128, depth: int = 3, levels: int = 1
    ) -> None:
        super().__init__()
        self.config = {"codes": codes, "dim": dim, "width": width, "depth": depth}
        self.levels = levels
        half = width // 2
        self.encoder = encoder(dim, width, depth)
        self.decoder = nn.Sequential(
            ToPairs("code", dim, width, 3),
            nn.ReLU(),
            Block(width),
            nn.Upsample(scale_factor=2),
            ToPairs("pairs", width, half, 3),
            nn.ReLU(),
            PairsToImage(half, 8, 4),
        )
        self.register_buffer("signs", signs(dim), persistent=False)
        first = F.normalize(torch.randn(codes // 2, dim), dim=1)
        self.register_buffer("codebook", torch.cat([first, first * self.signs]))
        if levels > 1:
            self.config["levels"] = levels
            rest = torch.randn(levels - 1, codes // 2, dim) / dim
            self.register_buffer("residuals", torch.cat([rest, rest * self.signs], 1))
            self.detail = encoder(dim, width, depth)
            nn.init.zeros_(self.detail[-1].weight)  # type: ignore[arg-type]

    def latents(self, images: Tensor) -> Tensor:
        """Unit vectors (B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.project(self.encoder(images))

    def project(self, encoded: Tensor) -> Tensor:
        """Latents (B, D, H, W) of what the encoder gives: on the unit sphere."""
        return F.normalize(encoded, dim=1)

    def detailed(self, images: Tensor, latents: Tensor) -> Tensor:
        """Latents (B, D, H, W) that all levels together code, of images (B, 3, S, S) and their unit vectors."""
        return latents if self.levels == 1 else latents + self.detail(images).to(latents.dtype)

    def tokens(self, images: Tensor) -> Tensor:
        """Indices (B, L, H, W) int64 of images (B, 3, S, S) in [-1, 1]."""
        latents = self.latents(images)
        return self.quantise(latents, self.detailed(images, latents))

    def quantise(self, latents: Tensor, detailed: Tensor) -> Tensor:
        """Indices (B, L, H, W) int64: of unit vectors (B, D, H, W), and at each further level of what is left of the latents
        (B, D, H, W) that all levels code."""
        indices = self.nearest(latents)
        found, left = [indices], detailed
        for level in range(1, self.levels):
            left = left - self.embed_level(indices, level - 1)
            indices = nearest_pair(
                left, self.residuals[level - 1], self.residuals[level - 1].square().sum(1) / 2
            )
            found.append(indices)
        return torch.stack(found, 1)

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (B, H, W) int64 of the nearest codes of the first level by cosine."""
        return nearest_pair(latents, self.codebook)

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of the first level's indices (B, H, W)."""
        return F.embedding(indices, self.codebook).permute(0, 3, 1, 2)

    def embed_level(self, indices: Tensor, level: int) -> Tensor:
        """Code vectors (B, D, H, W) of indices (B, H, W) of a level, counted from 0."""
        return (
            self.embed(indices)
            if level == 0
            else F.embedding(indices, self.residuals[level - 1]).permute(0, 3, 1, 2)
        )

    def embed_levels(self, indices: Tensor) -> Tensor:
        """Sums (B, D, H, W) of the code vectors of indices (B, L, H, W), or of those of the first levels only."""
        total = self.embed(indices[:, 0])
        for level in range(1, indices.shape[1]):
            total = total + self.embed_level(indices[:, level], level)
        return total

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S) around [-1, 1] of code vectors (B, D, H, W)."""
        return self.decoder(embedded)


def nearest_pair(latents: Tensor, codebook: Tensor, penalty: Tensor | None = None) -> Tensor:
    """Indices (B, H, W) int64 of the nearest codes to latents (B, D, H, W).

    Where partners are as near, as in a mirror-symmetric spot, rounding does not decide: it is the first of them.

    Args:
        latents: what to find codes for.
        codebook: (K, D), the second half the mirror images of the first.
        penalty: (K,) half of the squared length of each code, for Euclidean distance; None: all are of one length.
    """
    half, even = len(codebook) // 2, (codebook.shape[1] + 1) // 2
    first = codebook[:half]
    flat = latents.permute(0, 2, 3, 1)
    alike, apart = flat[..., :even] @ first[:, :even].T, flat[..., even:] @ first[:, even:].T
    likeness = alike + apart.abs()
    best = (likeness if penalty is None else likeness - penalty[:half]).argmax(-1, keepdim=True)
    return (best + half * (apart.gather(-1, best) < -TIE / 2)).squeeze(-1)


def encoder(dim: int, width: int, depth: int) -> nn.Sequential:
    """A network from images (B, 3, S, S) to codes (B, D, S / 8, S / 8); the arguments are VQAutoencoder's."""
    half = width // 2
    return nn.Sequential(
        ToPairs("image", 3, half, 8, 4),
        nn.ReLU(),
        Block(half),
        ToPairs("pairs", half, width, 4, 2),
        nn.ReLU(),
        *[Block(width) for _ in range(depth)],
        PairsToCode(width, dim),
    )


def first_levels(model: VQAutoencoder, levels: int) -> VQAutoencoder:
    """A new autoencoder of the first levels of one, with its weights, on the CPU, in evaluation mode."""
    weights = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if levels > 1 or not name.startswith(FURTHER)
    }
    if levels > 1:
        weights["residuals"] = model.residuals[: levels - 1]
    with torch.random.fork_rng(devices=[]):
        made = VQAutoencoder(**{**model.config, "levels": levels})
    made.load_state_dict(weights)
    return made.eval()
