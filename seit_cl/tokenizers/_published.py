"""Published autoencoders as tokenizers: encoding in chunks, decoding, files of their own, and pruning of codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from safetensors.torch import save
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.formats.entropy.reader import EntropyReader
from seit_cl.tokenizers._checkpoint import card_of, read_state_dict, without
from seit_cl.tokenizers.base import check_side, identity_of
from seit_cl.tokenizers.bundled import PREPROCESSING, float32_arithmetic

CHUNK_PIXELS = {
    "cpu": 256 * 256,
    "cuda": 16 * 256 * 256,
}  # encoded or decoded at a time; what lies between layers is large
PRUNED = "pruned."  # prefix of the tensors that tell what pruning did
State = dict[str, Tensor]
MAX_CODES = 1 << 15  # codes are int16


class Autoencoder(Protocol):
    """What a published model must offer; all nn.Modules that have it can be tokenizers.

    Attributes:
        CODES: names of the tensors that have a row for each code.
        stride: pixels per token side.
        vectors: (K, D) float32, the vectors that `embed` gives.
    """

    CODES: tuple[str, ...]
    stride: int

    @property
    def vectors(self) -> Tensor:
        """(K, D) float32."""

    def check_grid(self, height: int, width: int) -> None:
        """Refuse a grid that it cannot work on.

        Raises:
            UserError: naming the side in pixels that it can.
        """

    def latents(self, images: Tensor) -> Tensor:
        """(B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes (B, H, W) int64 of latents (B, D, H, W)."""

    def embed(self, indices: Tensor) -> Tensor:
        """(B, D, H, W) of codes (B, H, W)."""

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S) around [-1, 1] of (B, D, H, W)."""

    def to(self, device: torch.device | str) -> Any:
        """Move to a device, in place."""


class PublishedTokenizer:
    """An autoencoder with the tensors that it was made from, as a Tokenizer (seit_cl.tokenizers.base).

    Args:
        kind: the plugin's name, which its file names.
        model: with the tensors loaded.
        state: these tensors as they are stored, beside which `pruned.codes` and `pruned.uses` may stand.
        fit: makes a model of other tensors: (where they are from, tensors) -> model.
        card: what is known of it.

    Raises:
        UserError: more codes than tokens can hold.
    """

    combine: Literal["sum", "concat"] = "sum"
    decodes = True
    mirror: Tensor | None = None

    def __init__(
        self,
        kind: str,
        model: Autoencoder,
        state: State,
        fit: Callable[[str, State], Autoencoder],
        card: dict[str, str],
    ) -> None:
        self.kind, self.model, self.state, self.fit, self.card = kind, model, state, fit, dict(card)
        self.codebook = model.vectors[None].clone()
        self.stride = model.stride
        self.device = self.codebook.device
        self.identity = identity_of(f"{kind} {PREPROCESSING}", weights(state))
        self.entropy_model = EntropyReader(self.identity)
        self.codec_bytes = sum(t.numel() * t.element_size() for t in weights(state).values())
        if not 1 < self.codebook.shape[1] <= MAX_CODES:
            raise UserError(
                f"{kind}: {self.codebook.shape[1]:,} codes; tokens are int16, so there may be 2 to {MAX_CODES:,}"
            )

    def to(self, device: torch.device | str) -> PublishedTokenizer:
        """Move to a device, in place."""
        self.model.to(device)
        self.codebook = self.codebook.to(device)
        self.device = self.codebook.device
        return self

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Tokens (B, 1, S/stride, S/stride) int16 of images (B, 3, S, S) uint8, on the images' device.

        Raises:
            UserError: the images are not square, or of a side that the model cannot encode.
        """
        check_side(images, self.stride)
        grid = images.shape[-1] // self.stride
        self.model.check_grid(grid, grid)
        parts = [images.new_zeros((0, 1, grid, grid)).short()]
        for chunk in images.split(self._chunk(grid)) if len(images) else ():
            scaled = chunk.to(self.device).float() / 127.5 - 1
            with float32_arithmetic(self.device):
                codes = self.model.nearest(self.model.latents(scaled))
            parts.append(codes.to(images.device, torch.int16)[:, None])
        return torch.cat(parts)

    @torch.inference_mode()
    def decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of tokens (B, 1, S/stride, S/stride), on the tokens' device.

        Raises:
            UserError: the grid has a side that the model cannot decode.
        """
        height, width = tokens.shape[-2:]
        self.model.check_grid(height, width)
        parts = [
            tokens.new_zeros((0, 3, height * self.stride, width * self.stride), dtype=torch.uint8)
        ]
        for chunk in tokens.split(self._chunk(height)) if len(tokens) else ():
            with float32_arithmetic(self.device):
                images = self.model.reconstruct(
                    self.model.embed(chunk[:, 0].long().to(self.device))
                )
            parts.append(((images.clamp(-1, 1) + 1) * 127.5).round().to(tokens.device, torch.uint8))
        return torch.cat(parts)

    def _chunk(self, grid: int) -> int:
        return max(1, CHUNK_PIXELS[self.device.type] // (grid * self.stride) ** 2)

    def save(self, path: Path) -> None:
        """Write the tensors, the kind and the model card into one safetensors file, atomically."""
        tensors = {name: tensor.contiguous() for name, tensor in self.state.items()}
        write_atomic(
            path,
            save(tensors, metadata={**self.card, "kind": self.kind, "identity": self.identity}),
        )

    def pruned(self, uses: Tensor) -> PublishedTokenizer:
        """The tokenizer of the codes that are used; where an image's nearest code is gone, it takes the nearest of those left.

        Its tensors have beside them `pruned.codes` (K',) int64, the code of the first tokenizer that each code was, and
        `pruned.uses` (K',) int64.

        Args:
            uses: (K,) int64, how often a data set uses each code.

        Raises:
            UserError: fewer than two codes are used.
        """
        living = uses.nonzero().squeeze(1)
        if len(living) < 2:
            raise UserError(
                f"{len(living)} of {len(uses):,} codes are used; a tokenizer needs two: measure on more images"
            )
        first = self.state.get(f"{PRUNED}codes", torch.arange(len(uses)))
        kept = {
            name: tensor[living] if name in self.model.CODES else tensor
            for name, tensor in self.state.items()
        }
        told = {f"{PRUNED}codes": first[living], f"{PRUNED}uses": uses[living]}
        return type(self)(
            self.kind,
            self.fit("the pruned one", weights(kept)),
            {**kept, **told},
            self.fit,
            self.card,
        )


def published(
    kind: str,
    source: str,
    state: State,
    fit: Callable[[str, State], Autoencoder],
    card: dict[str, str] | None = None,
) -> PublishedTokenizer:
    """The tokenizer of tensors as a file has them; see PublishedTokenizer for the arguments.

    Raises:
        UserError: tensors that do not fit, or more codes than tokens can hold.
    """
    return PublishedTokenizer(kind, fit(source, weights(state)), state, fit, card or {})


def open_checkpoint(
    source: str,
    ignored: tuple[str, ...],
    from_state: Callable[[str, State, dict[str, str]], PublishedTokenizer],
) -> PublishedTokenizer:
    """The tokenizer of a checkpoint's file.

    Args:
        source: the file.
        ignored: prefixes of names that the tokenizer does not need; the card says how many there were.
        from_state: makes it of the file's name, the tensors and the card.

    Raises:
        UserError: the file cannot be read, or its tensors do not fit.
    """
    state, metadata = read_state_dict(Path(source))
    kept, left_out = without(state, ignored)
    return from_state(source, kept, card_of(metadata, left_out))


def weights(state: State) -> State:
    """The tensors that a model is made of, without what tells of pruning."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(PRUNED)}
