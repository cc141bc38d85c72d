"""Published autoencoders as tokenizers: chunked encoding and decoding, files, pruning of codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.precision import float32_arithmetic
from seit_cl.core.tensor_files import write_tensor_file
from seit_cl.core.token_shapes import token_shape
from seit_cl.formats.entropy.reader import EntropyReader
from seit_cl.tokenizers._arithmetic import (
    PREPROCESSING,
    round_pixels,
    scale_pixels,
    total_bytes,
)
from seit_cl.tokenizers._checkpoint import card_of, read_state_dict, without
from seit_cl.tokenizers.base import check_identity, check_side, identity_of

# Pixels encoded or decoded at a time; the feature maps between layers are large.
CHUNK_PIXELS = {"cpu": 256 * 256, "cuda": 16 * 256 * 256}
PRUNED = "pruned."  # prefix of the tensors that describe a pruning
MAX_CODES = 1 << 15  # tokens are int16

State = dict[str, Tensor]  # tensors by name


class Autoencoder(Protocol):
    """A published model that can become a tokenizer; implementations are modules.

    Attributes:
        CODES: names of the tensors that have a row for each code; empty without such tensors.
        stride: pixels per token side.
        row: as of a Tokenizer.
        combine: operation that makes a position's vector of those of its G codes.
        codebooks: (G, K, D) float32, the vectors of the codes.
    """

    CODES: tuple[str, ...]
    stride: int
    row: int
    combine: Literal["sum", "concat"]

    @property
    def codebooks(self) -> Tensor:
        """(G, K, D) float32."""

    def check_grid(self, height: int, width: int) -> None:
        """Refuse a token grid that the model cannot work on.

        Raises:
            UserError: naming the side in pixels that it can.
        """

    def latents(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, S, S) in [-1, 1] to latents (B, E, H, W)."""

    def codes(self, latents: Tensor) -> Tensor:
        """Find the codes (B, G, H, W) int64 of latents (B, E, H, W)."""

    def look_up(self, codes: Tensor) -> Tensor:
        """Look up the vectors (B, E, H, W) of positions with codes (B, G, H, W)."""

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Decode vectors (B, E, H, W) to images (B, 3, S, S) around [-1, 1]."""

    def to(self, device: torch.device | str) -> Any:
        """Move to a device, in place."""


class PublishedTokenizer:
    """A published autoencoder as a Tokenizer (seit_cl.tokenizers.base).

    Args:
        kind: name of the plugin, which the tokenizer's file states.
        model: the autoencoder with its tensors loaded.
        state: these tensors as they are stored; after a pruning also `pruned.codes`, `pruned.uses`.
        fit: makes a model of other tensors: (their source for messages, tensors) -> model.
        card: model card.

    Raises:
        UserError: more codes than tokens can hold.
    """

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
        codes = model.codebooks.shape[1]
        if not 1 < codes <= MAX_CODES:
            raise UserError(
                f"{kind}: {codes:,} codes; tokens are int16, so there may be 2 to {MAX_CODES:,}; "
                "give another checkpoint"
            )
        self.kind = kind
        self.model = model
        self.state = state
        self.fit = fit
        self.card = dict(card)
        self.codebook = model.codebooks.clone()
        self.combine = model.combine
        self.stride = model.stride
        self.row = model.row
        self.device = self.codebook.device
        self.identity = identity_of(f"{kind} {PREPROCESSING}", weights(state))
        self.entropy_model = EntropyReader(self.identity)
        self.codec_bytes = total_bytes(weights(state))

    def to(self, device: torch.device | str) -> PublishedTokenizer:
        """Move to a device, in place."""
        self.model.to(device)
        self.codebook = self.codebook.to(device)
        self.device = self.codebook.device
        return self

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, S, S) uint8 to tokens (B, G, H, W) int16, H = S / stride.

        Returns:
            The tokens, on the images' device.

        Raises:
            UserError: the images are not square, or of a side that the model cannot encode.
        """
        check_side(images, self.stride)
        groups, height, width = token_shape(self, images.shape[-1])
        self.model.check_grid(height, width)
        tokens = images.new_empty((len(images), groups, height, width), dtype=torch.int16)
        size = self._chunk_size(height)
        for start in range(0, len(images), size):
            scaled = scale_pixels(images[start : start + size].to(self.device))
            with float32_arithmetic(self.device):
                codes = self.model.codes(self.model.latents(scaled))
            tokens[start : start + size] = codes.to(images.device, torch.int16)
        return tokens

    @torch.inference_mode()
    def decode(self, tokens: Tensor) -> Tensor:
        """Decode tokens (B, G, H, W) to images (B, 3, S, S) uint8.

        Returns:
            The images, on the tokens' device.

        Raises:
            UserError: the model cannot decode a grid of this side.
        """
        height, width = tokens.shape[-2:]
        self.model.check_grid(height, width)
        shape = (len(tokens), 3, height * self.stride, width // self.row * self.stride)
        images = tokens.new_empty(shape, dtype=torch.uint8)
        size = self._chunk_size(height)
        for start in range(0, len(tokens), size):
            codes = tokens[start : start + size].long().to(self.device)
            with float32_arithmetic(self.device):
                restored = self.model.reconstruct(self.model.look_up(codes))
            images[start : start + size] = round_pixels(restored).to(tokens.device)
        return images

    def _chunk_size(self, grid: int) -> int:
        """Images that are encoded or decoded at a time."""
        side = grid * self.stride
        return max(1, CHUNK_PIXELS[self.device.type] // side**2)

    def save(self, path: Path) -> None:
        """Write tensors, kind and model card to a safetensors file, atomically."""
        metadata = {**self.card, "kind": self.kind, "identity": self.identity}
        write_tensor_file(path, self.state, metadata)

    def pruned(self, uses: Tensor) -> PublishedTokenizer:
        """Make the tokenizer of those codes that are used.

        Positions whose nearest code is removed get the nearest of the remaining ones. The new
        tokenizer's tensors include `pruned.codes` (K',) int64, the code of the first tokenizer that
        each code was, and `pruned.uses` (K',) int64.

        Args:
            uses: (K,) int64, number of uses of each code in a data set.

        Raises:
            UserError: fewer than two codes are used.
        """
        used = uses.nonzero().squeeze(1)
        if len(used) < 2:
            raise UserError(
                f"{len(used)} of {len(uses):,} codes are used; a tokenizer needs two: "
                "measure on more images"
            )
        original = self.state.get(f"{PRUNED}codes", torch.arange(len(uses)))
        state = {}
        for name, tensor in self.state.items():
            state[name] = tensor[used] if name in self.model.CODES else tensor
        model = self.fit("the pruned tokenizer", weights(state))
        state[f"{PRUNED}codes"] = original[used]
        state[f"{PRUNED}uses"] = uses[used]
        return type(self)(self.kind, model, state, self.fit, self.card)


def published(
    kind: str,
    source: str,
    state: State,
    fit: Callable[[str, State], Autoencoder],
    card: dict[str, str] | None = None,
) -> PublishedTokenizer:
    """Make the tokenizer of a file's tensors.

    Args:
        kind, state, fit, card: as for PublishedTokenizer.
        source: the file, for messages.

    Raises:
        UserError: tensors that do not fit, or more codes than tokens can hold.
    """
    return PublishedTokenizer(kind, fit(source, weights(state)), state, fit, card or {})


def open_checkpoint(
    source: str,
    ignored: tuple[str, ...],
    from_state: Callable[[str, State, dict[str, str]], PublishedTokenizer],
    places: tuple[str, ...] = ("state_dict",),
) -> PublishedTokenizer:
    """Open a checkpoint file as a tokenizer.

    Args:
        source: the file.
        ignored: prefixes of the names that the tokenizer does not need; the card counts them.
        from_state: makes the tokenizer: (file name, tensors, card) -> tokenizer.
        places: names under which a file of torch.save may hold the tensors, the preferred first.

    Raises:
        UserError: the file cannot be read, or its tensors do not fit.
    """
    file = read_state_dict(Path(source), places)
    needed, left_out = without(file.tensors, ignored)
    tokenizer = from_state(source, needed, card_of(file.metadata, left_out))
    check_identity(source, file.metadata, tokenizer.identity, file.has_digest)
    tokenizer.entropy_model = EntropyReader(tokenizer.identity, Path(source))
    return tokenizer


def weights(state: State) -> State:
    """Leave out the tensors that describe a pruning; the others make the model."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(PRUNED)}
