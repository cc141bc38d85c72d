"""ViT-VQGAN (Yu et al., ICLR 2022, arXiv:2110.04627), compatible with published checkpoints.

Tensor names are those of the checkpoints of github.com/thuanz123/enhancing-transformers; the code
was written for this package.

Symbols: B batch, P patch side in pixels, H x W grid, N = H W positions, E width, D code dimension,
K codes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.tokenizers.nets.vqgan_codes import OneCode

HEAD_DIM = 64  # of every attention head in the checkpoints, whatever the width of the model
INIT_STD = 0.02  # of patch embedding and output (ViT: Dosovitskiy et al., ICLR 2021)
POSITION_TOLERANCE = 2e-3  # largest rounding error of sin-cos positions in half precision


@lru_cache(maxsize=16)
def sincos_positions(height: int, width: int, dim: int) -> Tensor:
    """Fixed sin-cos position embeddings (1, H W, E) of a grid, row by row.

    As in Vaswani et al., NeurIPS 2017, computed in float64. The first half of the dimensions
    encodes the column, the second half the row; in each half the sines precede the cosines.

    Args:
        height: H.
        width: W.
        dim: E, a multiple of 4.
    """
    # On the CPU, whatever the default device is: the result is cached for all devices.
    with torch.device("cpu"):
        frequencies = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
        rows, columns = torch.meshgrid(
            torch.arange(height).double(), torch.arange(width).double(), indexing="ij"
        )
    parts = []
    for axis in (columns, rows):
        angles = axis.reshape(-1, 1) * frequencies
        parts += [torch.sin(angles), torch.cos(angles)]
    return torch.cat(parts, 1).float()[None]


class Attention(nn.Module):
    """Multi-head self-attention: (B, N, E) -> the same.

    Args:
        width: E.
        heads: number of heads, each HEAD_DIM wide. A single head as wide as the model has no
            output projection.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * heads * HEAD_DIM, bias=False)
        self.to_out: nn.Module
        if heads == 1 and width == HEAD_DIM:
            self.to_out = nn.Identity()
        else:
            self.to_out = nn.Linear(heads * HEAD_DIM, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        projected = self.to_qkv(x).unflatten(-1, (3, self.heads, HEAD_DIM))
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return self.to_out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with tanh between them: (B, N, E) -> the same.

    Args:
        width: E.
        hidden: features between the two layers.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        return self.net(x)  # type: ignore[no-any-return]


class PreNorm(nn.Module):
    """Residual branch behind a layer norm, x + fn(norm(x)): (B, N, E) -> the same.

    Args:
        width: E.
        fn: the branch, (B, N, E) -> the same.
    """

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        return x + self.fn(self.norm(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Blocks of attention and feed-forward and a final layer norm: (B, N, E) -> the same.

    Args:
        width: E.
        depth: number of blocks.
        heads: attention heads of a block.
        hidden: hidden features of the feed-forward layers.
    """

    def __init__(self, width: int, depth: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(depth):
            attention = PreNorm(width, Attention(width, heads))
            feed_forward = PreNorm(width, FeedForward(width, hidden))
            self.layers.append(nn.ModuleList([attention, feed_forward]))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        for layer in self.layers:
            for block in layer.children():
                x = block(x)
        return self.norm(x)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """From images (B, 3, P H, P W) in [-1, 1] to features (B, E, H, W).

    The weights of the checkpoints take images in [0, 1].

    Args:
        grid: side of the grid whose position embeddings are stored.
        patch: P.
        width: E.
        depth: transformer blocks.
        heads: attention heads of a block.
        hidden: hidden features of the feed-forward layers.
    """

    def __init__(
        self, grid: int, patch: int, width: int, depth: int, heads: int, hidden: int
    ) -> None:
        super().__init__()
        self.to_patch_embedding = nn.Sequential(nn.Conv2d(3, width, patch, patch))
        self.en_pos_embedding = nn.Parameter(
            sincos_positions(grid, grid, width).clone(), requires_grad=False
        )
        self.transformer = Transformer(width, depth, heads, hidden)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, P H, P W) -> (B, E, H, W)."""
        patches = self.to_patch_embedding(images / 2 + 0.5)
        size = patches.shape[-2:]
        positions = _positions(self.en_pos_embedding, size)
        mixed = self.transformer(patches.flatten(2).transpose(1, 2) + positions)
        return mixed.transpose(1, 2).unflatten(2, size)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """From features (B, E, H, W) to images (B, 3, P H, P W), roughly in [-1, 1].

    The weights of the checkpoints return images in [0, 1]. The arguments are those of Encoder.
    """

    def __init__(
        self, grid: int, patch: int, width: int, depth: int, heads: int, hidden: int
    ) -> None:
        super().__init__()
        self.de_pos_embedding = nn.Parameter(
            sincos_positions(grid, grid, width).clone(), requires_grad=False
        )
        self.transformer = Transformer(width, depth, heads, hidden)
        # The checkpoints name the convolution "to_pixel.1": a reshape precedes it.
        self.to_pixel = nn.Sequential(nn.Identity(), nn.ConvTranspose2d(width, 3, patch, patch))
        _initialise(self)

    def forward(self, features: Tensor) -> Tensor:
        """(B, E, H, W) -> (B, 3, P H, P W)."""
        size = features.shape[-2:]
        positions = _positions(self.de_pos_embedding, size)
        mixed = self.transformer(features.flatten(2).transpose(1, 2) + positions)
        images = self.to_pixel(mixed.transpose(1, 2).unflatten(2, size))
        return images * 2 - 1  # type: ignore[no-any-return]


def _initialise(module: nn.Module) -> None:
    """Initialise as ViT does: Xavier for linear layers, truncated normal for convolutions."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.trunc_normal_(part.weight, std=INIT_STD)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]


def _positions(stored: Tensor, size: torch.Size) -> Tensor:
    """Position embeddings (1, N, E) of a grid: stored ones for its size, or else computed ones."""
    height, width = size
    if height == width and height * width == stored.shape[1]:
        return stored
    return sincos_positions(height, width, stored.shape[2]).to(stored)


class Quantizer(nn.Module):
    """The code vectors (K, D) under the checkpoints' name, without gradients.

    Training moves them by running averages.
    """

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, dim)
        self.embedding.weight.requires_grad_(False).copy_(F.normalize(self.embedding.weight, dim=1))


class ViTVQGAN(OneCode, nn.Module):
    """Encoder, cosine codebook and decoder.

    Args:
        grid: side of the grid of the training images, in tokens.
        patch: P, the stride.
        codes: K.
        dim: D.
        encoder: width E, depth, heads and hidden features of the encoder's transformer.
        decoder: the same of the decoder's.
    """

    CODES: tuple[str, ...] = ("quantizer.embedding.weight",)
    levels = 1
    signs: None = None  # no code is the mirror image of another

    def __init__(
        self,
        grid: int,
        patch: int,
        codes: int,
        dim: int,
        encoder: tuple[int, int, int, int],
        decoder: tuple[int, int, int, int],
    ) -> None:
        super().__init__()
        self.config = {
            "grid": grid,
            "patch": patch,
            "codes": codes,
            "dim": dim,
            "encoder": encoder,
            "decoder": decoder,
        }
        self.dim = dim
        self.stride = patch
        self.grid = grid
        self.encoder = Encoder(grid, patch, *encoder)
        self.decoder = Decoder(grid, patch, *decoder)
        self.quantizer = Quantizer(codes, dim)
        self.pre_quant = nn.Linear(encoder[0], dim)
        self.post_quant = nn.Linear(dim, decoder[0])

    @property
    def codebook(self) -> Tensor:
        """Stored code vectors (K, D), not normalised."""
        return self.quantizer.embedding.weight

    @property
    def vectors(self) -> Tensor:
        """Unit vectors (K, D) of the codes."""
        return F.normalize(self.codebook, dim=1)

    def project(self, features: Tensor) -> Tensor:
        """Project features (B, E, H, W) to latents (B, D, H, W) on the unit sphere."""
        latents = self.pre_quant(features.permute(0, 2, 3, 1))
        return F.normalize(latents, dim=-1).permute(0, 3, 1, 2)

    def latents(self, images: Tensor) -> Tensor:
        """Unit vectors (B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.project(self.encoder(images))

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (B, H, W) int64 of the codes nearest to latents (B, D, H, W) by cosine.

        Of equally near codes the first is taken.
        """
        return (latents.permute(0, 2, 3, 1) @ self.vectors.T).argmax(-1)

    def add_detail(self, images: Tensor, latents: Tensor) -> Tensor:
        """Latents (B, D, H, W) that all levels together code: unchanged, as there is one level."""
        return latents

    def quantise(self, latents: Tensor, detailed: Tensor) -> Tensor:
        """Indices (B, 1, H, W) int64 of unit vectors (B, D, H, W)."""
        return self.nearest(latents)[:, None]

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of indices (B, H, W)."""
        return F.embedding(indices, self.vectors).permute(0, 3, 1, 2)

    def embed_level(self, indices: Tensor, level: int) -> Tensor:
        """Code vectors (B, D, H, W) of indices (B, H, W) of the only level, 0."""
        return self.embed(indices)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S), roughly in [-1, 1], of code vectors (B, D, H, W)."""
        features = self.post_quant(embedded.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.decoder(features)  # type: ignore[no-any-return]

    def check_grid(self, height: int, width: int) -> None:
        """Refuse a grid without position embeddings.

        Raises:
            UserError: the stored positions are not the sin-cos ones, and their grid is another.
        """
        if (height, width) != (self.grid, self.grid) and not self.any_grid:
            raise UserError(
                f"images of {height * self.stride} x {width * self.stride} px: this ViT-VQGAN has "
                f"learnt positions of one image size; choose --resolution {self.grid * self.stride}"
            )

    @property
    def any_grid(self) -> bool:
        """True if the stored positions are the sin-cos ones, which exist for every grid."""
        for stored in (self.encoder.en_pos_embedding, self.decoder.de_pos_embedding):
            computed = sincos_positions(self.grid, self.grid, stored.shape[2])
            if not bool((stored.cpu() - computed).abs().max() <= POSITION_TOLERANCE):
                return False
        return True


# Tensors that every checkpoint has and that fix the sizes of the model.
ANCHORS = (
    "encoder.to_patch_embedding.0.weight",
    "encoder.en_pos_embedding",
    "decoder.de_pos_embedding",
    "quantizer.embedding.weight",
    "encoder.transformer.layers.0.0.fn.to_qkv.weight",
    "encoder.transformer.layers.0.1.fn.net.0.weight",
    "decoder.transformer.layers.0.0.fn.to_qkv.weight",
    "decoder.transformer.layers.0.1.fn.net.0.weight",
)


def config_of(state: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of the ViTVQGAN whose state dict this is.

    Args:
        state: tensors by name, among them all of ANCHORS.

    Raises:
        ValueError: shapes that are not those of a ViT-VQGAN.
    """
    grid = round(state["encoder.en_pos_embedding"].shape[1] ** 0.5)
    codes, dim = state["quantizer.embedding.weight"].shape
    patch = state["encoder.to_patch_embedding.0.weight"].shape[-1]
    return {
        "grid": grid,
        "patch": patch,
        "codes": codes,
        "dim": dim,
        "encoder": _sizes(state, "encoder"),
        "decoder": _sizes(state, "decoder"),
    }


def _sizes(state: dict[str, Tensor], side: str) -> tuple[int, int, int, int]:
    """Width, depth, heads and hidden features of a transformer; `side` is encoder or decoder."""
    prefix = f"{side}.transformer.layers."
    qkv_features, width = state[f"{prefix}0.0.fn.to_qkv.weight"].shape
    hidden = state[f"{prefix}0.1.fn.net.0.weight"].shape[0]
    layers = set()
    for name in state:
        match = re.match(re.escape(prefix) + r"(\d+)\.", name)
        if match:
            layers.add(int(match[1]))
    return width, max(layers) + 1, qkv_features // (3 * HEAD_DIM), hidden
