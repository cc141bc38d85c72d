"""ViT-VQGAN (Yu et al., ICLR 2022, arXiv:2110.04627) as the enhancing-transformers checkpoints have it.

Tensor names are those of the checkpoints (github.com/thuanz123/enhancing-transformers); the code is our own. Symbols: B batch,
P patch side in pixels, H x W grid, N = H W positions, E width, D code dimension, K codes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.errors import UserError

HEAD_DIM = 64  # the checkpoints' heads are this wide whatever the model's width
INIT_STD = 0.02  # of patch embedding and output; ViT (Dosovitskiy et al., ICLR 2021)
SAME_POSITIONS = 2e-3  # largest difference from the formula that storing in half precision explains


@lru_cache(maxsize=16)
def sincos_positions(height: int, width: int, dim: int) -> Tensor:
    """Fixed position embeddings (1, H W, E) of a grid, row by row, computed in float64 (Vaswani et al., NeurIPS 2017).

    The first half of the dimensions tells the column, the second the row; in each the sines come before the cosines.

    Args:
        height: H.
        width: W.
        dim: E, a multiple of 4.
    """
    with torch.device(
        "cpu"
    ):  # whatever device a model is being built on, for others use these numbers too
        frequencies = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
        rows, columns = torch.meshgrid(
            torch.arange(height).double(), torch.arange(width).double(), indexing="ij"
        )
    angles = [axis.reshape(-1, 1) * frequencies for axis in (columns, rows)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], 1).float()[
        None
    ]


class Attention(nn.Module):
    """Multi-head self-attention (B, N, E) -> the same.

    Args:
        width: E.
        heads: each HEAD_DIM wide; one head as wide as the model has no output map.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * heads * HEAD_DIM, bias=False)
        alone = heads == 1 and width == HEAD_DIM
        self.to_out: nn.Module = nn.Identity() if alone else nn.Linear(heads * HEAD_DIM, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        queries, keys, values = (
            self.to_qkv(x).unflatten(-1, (3, self.heads, HEAD_DIM)).permute(2, 0, 3, 1, 4)
        )
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return self.to_out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear maps with Tanh between them: (B, N, E) -> the same."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        return self.net(x)  # type: ignore[no-any-return]


class PreNorm(nn.Module):
    """x + fn(norm(x)) of (B, N, E)."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(width), fn

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        return x + self.fn(self.norm(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Blocks of attention and feed-forward, and a norm at the end: (B, N, E) -> the same."""

    def __init__(self, width: int, depth: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PreNorm(width, Attention(width, heads)),
                    PreNorm(width, FeedForward(width, hidden)),
                ]
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        for layer in self.layers:
            for block in layer.children():
                x = block(x)
        return self.norm(x)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Images (B, 3, P H, P W) in [-1, 1], which the weights see in [0, 1], to features (B, E, H, W)."""

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
        mixed = self.transformer(
            patches.flatten(2).transpose(1, 2) + _positions(self.en_pos_embedding, size)
        )
        return mixed.transpose(1, 2).unflatten(2, size)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Features (B, E, H, W) to images (B, 3, P H, P W) around [-1, 1]; the weights give [0, 1]."""

    def __init__(
        self, grid: int, patch: int, width: int, depth: int, heads: int, hidden: int
    ) -> None:
        super().__init__()
        self.de_pos_embedding = nn.Parameter(
            sincos_positions(grid, grid, width).clone(), requires_grad=False
        )
        self.transformer = Transformer(width, depth, heads, hidden)
        # Named by number: in the checkpoints a reshape comes first.
        self.to_pixel = nn.Sequential(nn.Identity(), nn.ConvTranspose2d(width, 3, patch, patch))
        _initialise(self)

    def forward(self, features: Tensor) -> Tensor:
        """(B, E, H, W) -> (B, 3, P H, P W)."""
        size = features.shape[-2:]
        mixed = self.transformer(
            features.flatten(2).transpose(1, 2) + _positions(self.de_pos_embedding, size)
        )
        return self.to_pixel(mixed.transpose(1, 2).unflatten(2, size)) * 2 - 1  # type: ignore[no-any-return]


def _initialise(module: nn.Module) -> None:
    """Start weights as ViT does: Xavier for linear maps, small normal ones for the two convolutions."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.trunc_normal_(part.weight, std=INIT_STD)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]


def _positions(stored: Tensor, size: torch.Size) -> Tensor:
    """Position embeddings (1, N, E) of a grid: the stored ones where it has their size, else the formula's."""
    height, width = size
    if height == width and height * width == stored.shape[1]:
        return stored
    return sincos_positions(height, width, stored.shape[2]).to(stored)


class Quantizer(nn.Module):
    """Holds the K code vectors under the checkpoints' name; running averages move them, not gradients."""

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, dim)
        self.embedding.weight.requires_grad_(False).copy_(F.normalize(self.embedding.weight, dim=1))


class ViTVQGAN(nn.Module):
    """Encoder, cosine codebook and decoder.

    Args:
        grid: side of the grid that it is trained on, in tokens.
        patch: P.
        codes: K.
        dim: D.
        encoder: width E, depth, heads and hidden width of the feed-forward.
        decoder: the like.
    """

    CODES: tuple[str, ...] = ("quantizer.embedding.weight",)
    levels = 1
    signs: None = None  # codes have no mirror images among them

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
        self.stride, self.grid = patch, grid
        self.encoder, self.decoder = Encoder(grid, patch, *encoder), Decoder(grid, patch, *decoder)
        self.quantizer = Quantizer(codes, dim)
        self.pre_quant, self.post_quant = nn.Linear(encoder[0], dim), nn.Linear(dim, decoder[0])

    @property
    def codebook(self) -> Tensor:
        """(K, D) as stored, of any length."""
        return self.quantizer.embedding.weight

    @property
    def vectors(self) -> Tensor:
        """(K, D) unit vectors: what codes stand for."""
        return F.normalize(self.codebook, dim=1)

    def project(self, features: Tensor) -> Tensor:
        """Latents (B, D, H, W) of features (B, E, H, W): on the unit sphere."""
        return F.normalize(self.pre_quant(features.permute(0, 2, 3, 1)), dim=-1).permute(0, 3, 1, 2)

    def latents(self, images: Tensor) -> Tensor:
        """Unit vectors (B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.project(self.encoder(images))

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (B, H, W) int64 of the nearest codes by cosine, the first of equally near ones."""
        return (latents.permute(0, 2, 3, 1) @ self.vectors.T).argmax(-1)

    def detailed(self, images: Tensor, latents: Tensor) -> Tensor:
        """Latents (B, D, H, W) that all levels together code: there is one level."""
        return latents

    def quantise(self, latents: Tensor, detailed: Tensor) -> Tensor:
        """Indices (B, 1, H, W) int64 of unit vectors (B, D, H, W)."""
        return self.nearest(latents)[:, None]

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of indices (B, H, W)."""
        return F.embedding(indices, self.vectors).permute(0, 3, 1, 2)

    def embed_level(self, indices: Tensor, level: int) -> Tensor:
        """Code vectors (B, D, H, W) of indices (B, H, W) of a level: there is one, 0."""
        return self.embed(indices)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S) around [-1, 1] of code vectors (B, D, H, W)."""
        return self.decoder(self.post_quant(embedded.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))  # type: ignore[no-any-return]

    def check_grid(self, height: int, width: int) -> None:
        """Refuse a grid that there are no positions for.

        Raises:
            UserError: the stored positions are not sin-cos, and the grid is another than theirs.
        """
        if (height, width) != (self.grid, self.grid) and not self.any_grid:
            raise UserError(
                f"images of {height * self.stride} x {width * self.stride} px: the positions of this ViT-VQGAN are not the "
                f"sin-cos ones, which other sides need; choose --resolution {self.grid * self.stride}"
            )

    @property
    def any_grid(self) -> bool:
        """Whether the stored positions are those of the formula, which gives them for every grid."""
        stored = (self.encoder.en_pos_embedding, self.decoder.de_pos_embedding)
        formula = [sincos_positions(self.grid, self.grid, tensor.shape[2]) for tensor in stored]
        return all(
            bool((s.cpu() - f).abs().max() <= SAME_POSITIONS)
            for s, f in zip(stored, formula, strict=True)
        )


ANCHORS = (
    "encoder.to_patch_embedding.0.weight",
    "encoder.en_pos_embedding",
    "decoder.de_pos_embedding",
    "quantizer.embedding.weight",
    *(
        f"{side}.transformer.layers.0.{part}.weight"
        for side in ("encoder", "decoder")
        for part in ("0.fn.to_qkv", "1.fn.net.0")
    ),
)


def config_of(state: dict[str, Tensor]) -> dict[str, Any]:
    """The arguments of a ViTVQGAN that has tensors of these names and shapes; every one of ANCHORS must be among them.

    Raises:
        ValueError: shapes that are no ViT-VQGAN's.
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
    """Width, depth, heads and hidden width of the encoder's or decoder's transformer."""
    layers = f"{side}.transformer.layers."
    inner, width = state[f"{layers}0.0.fn.to_qkv.weight"].shape
    found = [
        int(match[1]) for name in state if (match := re.match(re.escape(layers) + r"(\d+)\.", name))
    ]
    return (
        width,
        max(found) + 1,
        inner // (3 * HEAD_DIM),
        state[f"{layers}0.1.fn.net.0.weight"].shape[0],
    )
