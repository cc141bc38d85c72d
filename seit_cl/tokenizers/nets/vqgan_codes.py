"""Codes of an encoder's latents: by nearest vector, largest logit, angle, inner product.

Symbols: B batch, D code dimension, G codes per position, H x W grid, K codes.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shapes = dict[str, torch.Size]  # of tensors, by name


class OneCodeModel(Protocol):
    """A model with one code per position."""

    @property
    def vectors(self) -> Tensor:
        """Code vectors (K, D)."""

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes (B, H, W) int64 of latents (B, D, H, W)."""

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of codes (B, H, W)."""


class OneCode:
    """Methods of _published.Autoencoder for an OneCodeModel, whose G is 1."""

    combine: Literal["sum", "concat"] = "sum"
    row = 1

    @property
    def codebooks(self: OneCodeModel) -> Tensor:
        """Code vectors (1, K, D)."""
        return self.vectors[None]

    def codes(self: OneCodeModel, latents: Tensor) -> Tensor:
        """Codes (B, 1, H, W) int64 of latents (B, D, H, W)."""
        return self.nearest(latents)[:, None]

    def look_up(self: OneCodeModel, codes: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of codes (B, 1, H, W)."""
        return self.embed(codes[:, 0])


class Quantizer(nn.Module):
    """The choice of codes, with the tensors of a checkpoint under "quantize.".

    Attributes:
        CODES: names of the checkpoint's tensors that have a row for each code.
    """

    CODES: tuple[str, ...]

    @property
    def codebook(self) -> Tensor:
        """Code vectors (K, D)."""
        raise NotImplementedError


class NearestQuantizer(Quantizer):
    """Choose the nearest code vector by Euclidean distance.

    Args:
        shapes: of its tensors, by name.
    """

    CODES: tuple[str, ...] = ("quantize.embedding.weight",)

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(*shapes["embedding.weight"])

    @property
    def codebook(self) -> Tensor:
        """Code vectors (K, D)."""
        return self.embedding.weight

    def forward(self, latents: Tensor) -> Tensor:
        """Codes (B, H, W) int64 of latents (B, D, H, W), the first of equally near ones."""
        return nearest(latents, self.codebook)


class GumbelQuantizer(Quantizer):
    """Choose the code of the largest logit: taming-transformers' f8 with 8,192 codes.

    Args:
        shapes: of its tensors, by name.
    """

    CODES: tuple[str, ...] = ("quantize.embed.weight", "quantize.proj.weight", "quantize.proj.bias")

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        codes, dim = shapes["embed.weight"]
        self.embed = nn.Embedding(codes, dim)
        self.proj = nn.Conv2d(dim, codes, 1)

    @property
    def codebook(self) -> Tensor:
        """Code vectors (K, D)."""
        return self.embed.weight

    def forward(self, latents: Tensor) -> Tensor:
        """Codes (B, H, W) int64 of latents (B, D, H, W), the first of equally likely ones."""
        return self.proj(latents).argmax(1)  # type: ignore[no-any-return]


class CosineQuantizer(NearestQuantizer):
    """Choose the code vector at the smallest angle, as LlamaGen does.

    Latents and code vectors are scaled to length 1; the decoder takes the scaled code vectors.
    """

    @property
    def codebook(self) -> Tensor:
        """Unit vectors (K, D) of the codes."""
        return F.normalize(self.embedding.weight, dim=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Codes (B, H, W) int64 of latents (B, D, H, W), the first of equally near ones."""
        return nearest(F.normalize(latents, dim=1), self.codebook)


class InnerProductQuantizer(NearestQuantizer):
    """Choose the code vector of the largest inner product, as IBQ does (Shi et al., 2024).

    Vectors are not scaled, so the code need not be the nearest.
    """

    def forward(self, latents: Tensor) -> Tensor:
        """Codes (B, H, W) int64 of latents (B, D, H, W), the first of equally large ones."""
        return (latents.permute(0, 2, 3, 1) @ self.codebook.T).argmax(-1)


def nearest(latents: Tensor, codebook: Tensor) -> Tensor:
    """Codes (B, H, W) int64 nearest to latents by Euclidean distance.

    Args:
        latents: (B, D, H, W).
        codebook: (K, D).
    """
    flat = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    distances = torch.addmm(codebook.square().sum(1), flat, codebook.T, alpha=-2)
    return distances.argmin(1).view(len(latents), *latents.shape[2:])
