"""The contract of a tokenizer: image -> grid of code indices, with the codebook it owns."""

from __future__ import annotations

from typing import Literal, Protocol

from torch import Tensor


class Tokenizer(Protocol):
    """An image tokenizer.

    Attributes:
        codebook: (G, K, D) float32.
        combine: how a position's G vectors become its embedding.
        stride: pixels per token side.
        identity: changes whenever the weights or the preprocessing change.
        codec_bytes: bytes of the weights and codebook that encoding, decoding and embedding need.
    """

    codebook: Tensor
    combine: Literal["sum", "concat"]
    stride: int
    identity: str
    codec_bytes: int

    @property
    def mirror(self) -> Tensor | None:
        """(G, K) int64, the code that each code becomes where an image is mirrored left to right, the grid being mirrored with
        it; None where mirror images have no such codes."""

    def encode(self, images: Tensor) -> Tensor:
        """Tokens (B, G, H, W) int16 of images (B, 3, S, S) uint8, S divisible by stride; float32 arithmetic.

        Raises:
            UserError: S is not divisible by stride.
        """

    def decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of tokens (B, G, H, W)."""
