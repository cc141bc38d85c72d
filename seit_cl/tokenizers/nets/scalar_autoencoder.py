"""The autoencoder of nets/vqae.py with a quantiser that has no codebook.

Symbols: B batch, D code dimension, G codes of a position, H x W grid, S image side in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from seit_cl.tokenizers.nets.mirror import signs
from seit_cl.tokenizers.nets.scalar_quantiser import ScalarQuantiser
from seit_cl.tokenizers.nets.vqae import VQAutoencoder, decoder, encoder


class ScalarAutoencoder(nn.Module):
    """Encoder, quantiser without a codebook, and decoder.

    Args:
        quantiser: its spec, e.g. "fsq:8,5,5,5" or "bsq:18".
        width: channels at stride 8, a multiple of 4.
        depth: blocks of the encoder at stride 8.

    Raises:
        ValueError: a spec that is none.
    """

    levels = 1
    combine: Literal["sum", "concat"] = "concat"
    signs: Tensor

    def __init__(self, quantiser: str, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"quantiser": quantiser, "width": width, "depth": depth}
        self.quantiser = ScalarQuantiser(quantiser)
        self.dim = self.quantiser.dim
        self.encoder = encoder(self.dim, width, depth)
        self.decoder = decoder(self.dim, width)
        self.register_buffer("signs", signs(self.dim), persistent=False)

    @property
    def codebooks(self) -> Tensor:
        """Vectors (G, K, D / G) of all codes."""
        return self.quantiser.codebooks

    @property
    def mirror(self) -> Tensor:
        """The code (G, K) int64 of the mirror image of each code."""
        return self.quantiser.mirror(self.signs)

    def latents(self, images: Tensor) -> Tensor:
        """Latents (B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.project(self.encoder(images))

    def project(self, encoded: Tensor) -> Tensor:
        """Latents (B, D, H, W) in the range of the codes, of the encoder's output."""
        return self.quantiser.bound(encoded)

    def add_detail(self, images: Tensor, latents: Tensor) -> Tensor:
        """Latents (B, D, H, W) that all levels together code: unchanged, as there is one level."""
        return latents

    def tokens(self, images: Tensor) -> Tensor:
        """Codes (B, G, H, W) int64 of images (B, 3, S, S) in [-1, 1]."""
        return self.quantiser.codes(self.latents(images))

    def quantise(self, latents: Tensor, detailed: Tensor) -> Tensor:
        """Codes (B, G, H, W) int64 of latents (B, D, H, W)."""
        return self.quantiser.codes(latents)

    def embed_levels(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of codes (B, G, H, W)."""
        return self.quantiser.vectors(indices)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S), roughly in [-1, 1], of code vectors (B, D, H, W)."""
        return self.decoder(embedded)  # type: ignore[no-any-return]


def build_autoencoder(config: Mapping[str, Any]) -> VQAutoencoder | ScalarAutoencoder:
    """Build the autoencoder of a configuration, with a codebook or without."""
    if "quantiser" in config:
        return ScalarAutoencoder(**config)
    return VQAutoencoder(**config)
