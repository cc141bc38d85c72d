"""A small vector-quantised autoencoder whose codes are unit vectors, as in ViT-VQGAN.

ViT-VQGAN: Yu et al., ICLR 2022. This network is made of convolutional residual blocks (He et al.,
CVPR 2016), so that it takes images of any size that the stride divides. The mirror image of a
picture has the mirrored grid of partner codes (seit_cl.tokenizers.nets.mirror), so that a learner
can mirror stored tokens.

With several levels it is a residual quantiser (Zeghidour et al., SoundStream, 2021; Lee et al.,
RQ-VAE, CVPR 2022): the codebook of each level codes what the levels before it left over. The first
level codes what distinguishes objects and little more. The further levels therefore code a latent
to which an encoder of their own adds detail. Mirroring acts on such a residual as it does on a
latent, so that the codes of every level come in mirrored pairs. The first levels alone are a
tokenizer too.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.mirror import PairsToCode, PairsToImage, ToPairs, signs

STRIDE = 8
FURTHER_LEVELS = ("residuals", "detail.")  # prefixes of tensors that only these levels need
TIE = 1e-4  # two partner codes whose cosines differ by less are equally near: the first is taken


class Block(nn.Module):
    """Two 3 x 3 convolutions of pairs with a residual connection: (B, C, H, W) -> the same.

    It is initialised as the identity of positive values.

    Args:
        width: C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ToPairs("pairs", width, width, 3)
        self.second = ToPairs("pairs", width, width, 3)
        nn.init.zeros_(self.second.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class VQAutoencoder(nn.Module):
    """Encoder, codebooks and decoder.

    Args:
        codes: codebook size K, even: code k + K/2 is the mirror image of code k.
        dim: code dimension D.
        width: channels at stride 8, a multiple of 4; half of it at stride 4.
        depth: blocks of the encoder at stride 8. The encoder has one more at stride 4; the decoder
            has one, at stride 8.
        levels: codes of a position L. The first has the codebook (K, D), the others have
            residuals (L - 1, K, D).
    """

    combine: Literal["sum", "concat"] = "sum"
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
        self.dim = dim
        self.encoder = encoder(dim, width, depth)
        self.decoder = decoder(dim, width)
        self.register_buffer("signs", signs(dim), persistent=False)
        first = F.normalize(torch.randn(codes // 2, dim), dim=1)
        self.register_buffer("codebook", torch.cat([first, first * self.signs]))
        if levels > 1:
            self.config["levels"] = levels
            first = torch.randn(levels - 1, codes // 2, dim) / dim
            self.register_buffer("residuals", torch.cat([first, first * self.signs], 1))
            self.detail = encoder(dim, width, depth)
            nn.init.zeros_(self.detail[-1].weight)  # type: ignore[arg-type]

    @property
    def codebooks(self) -> Tensor:
        """Codebooks (L, K, D) of all levels."""
        if self.levels == 1:
            return self.codebook[None]
        return torch.cat([self.codebook[None], self.residuals])

    @property
    def mirror(self) -> Tensor:
        """The code (L, K) int64 of the mirror image of each code."""
        codes = len(self.codebook)
        return torch.arange(codes).roll(codes // 2).repeat(self.levels, 1)

    def latents(self, images: Tensor) -> Tensor:
        """Unit vectors (B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.project(self.encoder(images))

    def project(self, encoded: Tensor) -> Tensor:
        """Project the encoder's output (B, D, H, W) to the unit sphere."""
        return F.normalize(encoded, dim=1)

    def add_detail(self, images: Tensor, latents: Tensor) -> Tensor:
        """Latents (B, D, H, W) that all levels together code.

        Args:
            images: (B, 3, S, S) in [-1, 1].
            latents: their unit vectors (B, D, H, W).
        """
        if self.levels == 1:
            return latents
        return latents + self.detail(images).to(latents.dtype)

    def tokens(self, images: Tensor) -> Tensor:
        """Indices (B, L, H, W) int64 of images (B, 3, S, S) in [-1, 1]."""
        latents = self.latents(images)
        return self.quantise(latents, self.add_detail(images, latents))

    def quantise(self, latents: Tensor, detailed: Tensor) -> Tensor:
        """Indices (B, L, H, W) int64 of the codes of every level.

        Args:
            latents: unit vectors (B, D, H, W), coded by the first level.
            detailed: (B, D, H, W); each further level codes what the levels before it left of it.
        """
        indices = self.nearest(latents)
        levels = [indices]
        residual = detailed
        for level in range(1, self.levels):
            residual = residual - self.embed_level(indices, level - 1)
            codebook = self.residuals[level - 1]
            indices = nearest_pair(residual, codebook, codebook.square().sum(1) / 2)
            levels.append(indices)
        return torch.stack(levels, 1)

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (B, H, W) int64 of the first level's codes nearest to (B, D, H, W) by cosine."""
        return nearest_pair(latents, self.codebook)

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of the first level's indices (B, H, W)."""
        return F.embedding(indices, self.codebook).permute(0, 3, 1, 2)

    def embed_level(self, indices: Tensor, level: int) -> Tensor:
        """Code vectors (B, D, H, W) of indices (B, H, W) of a level, counted from 0."""
        if level == 0:
            return self.embed(indices)
        return F.embedding(indices, self.residuals[level - 1]).permute(0, 3, 1, 2)

    def embed_levels(self, indices: Tensor) -> Tensor:
        """Sums (B, D, H, W) of the code vectors of indices (B, l, H, W) of the first l levels.

        An index of -1, of a level that was cut, adds nothing; the first level is never missing.
        """
        total = self.embed(indices[:, 0])
        for level in range(1, indices.shape[1]):
            codes = indices[:, level]
            total = total + self.embed_level(codes.clamp_min(0), level) * (codes >= 0)[:, None]
        return total

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S), roughly in [-1, 1], of code vectors (B, D, H, W)."""
        return self.decoder(embedded)


def nearest_pair(latents: Tensor, codebook: Tensor, penalty: Tensor | None = None) -> Tensor:
    """Indices (B, H, W) int64 of the codes nearest to latents, found for both partners at once.

    At a mirror-symmetric position both partners are equally near. The first one is taken then, so
    that rounding does not decide.

    Args:
        latents: (B, D, H, W).
        codebook: (K, D), its second half the mirror images of its first.
        penalty: (K,) half of the squared length of each code, for the nearest by Euclidean
            distance; None if all codes have the same length.
    """
    half = len(codebook) // 2
    even = (codebook.shape[1] + 1) // 2
    first = codebook[:half]
    flat = latents.permute(0, 2, 3, 1)
    # Partners agree in the even part of the scalar product and differ in the sign of the odd part.
    even_product = flat[..., :even] @ first[:, :even].T
    odd_product = flat[..., even:] @ first[:, even:].T
    similarity = even_product + odd_product.abs()
    if penalty is not None:
        similarity = similarity - penalty[:half]
    best = similarity.argmax(-1, keepdim=True)
    mirrored = odd_product.gather(-1, best) < -TIE / 2
    return (best + half * mirrored).squeeze(-1)


def encoder(dim: int, width: int, depth: int) -> nn.Sequential:
    """A network from images (B, 3, S, S) to codes (B, D, S / 8, S / 8).

    Args:
        dim: D.
        width: channels at stride 8.
        depth: blocks at stride 8.
    """
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


def decoder(dim: int, width: int) -> nn.Sequential:
    """A network from code vectors (B, D, H, W) to images (B, 3, 8 H, 8 W).

    Args:
        dim: D.
        width: channels at stride 8.
    """
    half = width // 2
    return nn.Sequential(
        ToPairs("code", dim, width, 3),
        nn.ReLU(),
        Block(width),
        nn.Upsample(scale_factor=2),
        ToPairs("pairs", width, half, 3),
        nn.ReLU(),
        PairsToImage(half, 8, 4),
    )


def first_levels(model: VQAutoencoder, levels: int) -> VQAutoencoder:
    """A new autoencoder of a model's first levels and weights, on the CPU, in evaluation mode."""
    weights = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if levels > 1 or not name.startswith(FURTHER_LEVELS)
    }
    if levels > 1:
        weights["residuals"] = model.residuals[: levels - 1]
    with torch.random.fork_rng(devices=[]):
        first = VQAutoencoder(**{**model.config, "levels": levels})
    first.load_state_dict(weights)
    return first.eval()
