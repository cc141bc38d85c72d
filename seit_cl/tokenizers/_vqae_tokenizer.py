"""The tokenizer of an autoencoder of `tokenize train`, and its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seit_cl.core.blocks import slices
from seit_cl.core.errors import UserError
from seit_cl.core.precision import float32_arithmetic
from seit_cl.core.tensor_files import read_tensor_file, write_tensor_file
from seit_cl.formats.entropy.reader import EntropyReader
from seit_cl.tokenizers._arithmetic import (
    PREPROCESSING,
    round_pixels,
    scale_pixels,
    total_bytes,
)
from seit_cl.tokenizers.base import DAMAGED, check_identity, check_side, identity_of, unreadable
from seit_cl.tokenizers.nets.scalar_autoencoder import ScalarAutoencoder, build_autoencoder
from seit_cl.tokenizers.nets.vqae import STRIDE, VQAutoencoder, first_levels

CODEBOOKS = ("codebook", "residuals")
# Pixels encoded or decoded at a time; feature maps of so many fit a CPU's cache.
CHUNK_PIXELS = {"cpu": 64 * 64 * 64, "cuda": 4096 * 64 * 64}


class VQAETokenizer:
    """A trained autoencoder as a Tokenizer (seit_cl.tokenizers.base).

    Args:
        model: the trained model; its weights are rounded in place to those of its file.
        card: model card.
        path: the file that it was read from; its entropy model may be in the same folder.
    """

    stride = STRIDE
    decodes = True
    row = 1

    def __init__(
        self,
        model: VQAutoencoder | ScalarAutoencoder,
        card: dict[str, str] | None = None,
        path: Path | None = None,
    ) -> None:
        model.eval().requires_grad_(False)
        round_weights(model)
        self.model = model.to(memory_format=torch.channels_last)
        self.card = card or {}
        self.combine = model.combine
        self.codebook = model.codebooks
        self.mirror = model.mirror
        self.identity = identity_of(_description(model), model.state_dict())
        self.path = path
        self.entropy_model = EntropyReader(self.identity, path)
        self.codec_bytes = total_bytes(file_tensors(model))

    def to(self, device: torch.device | str) -> VQAETokenizer:
        """Move to a device, in place."""
        self.model.to(device)
        self.codebook = self.codebook.to(device)
        self.mirror = self.mirror.to(device)
        return self

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, S, S) uint8 to tokens (B, G, S/8, S/8) int16.

        G is the number of levels, or of groups of dimensions.

        Returns:
            The tokens, on the images' device.

        Raises:
            UserError: the images are not square, or their side is not a multiple of 8.
        """
        check_side(images, STRIDE)
        side = images.shape[-1]
        grid = side // STRIDE
        device = self.codebook.device
        shape = (len(images), len(self.codebook), grid, grid)
        tokens = images.new_empty(shape, dtype=torch.int16)
        for part in slices(len(images), self._chunk_size(side * side)):
            chunk = images[part]
            scaled = scale_pixels(chunk.to(device, memory_format=torch.channels_last))
            with float32_arithmetic(device):
                codes = self.model.tokens(scaled)
            tokens[part] = codes.to(images.device, torch.int16)
        return tokens

    @torch.inference_mode()
    def decode(self, tokens: Tensor) -> Tensor:
        """Decode tokens (B, G, H, W) to images (B, 3, 8 H, 8 W) uint8, on the tokens' device."""
        device = self.codebook.device
        height, width = (STRIDE * side for side in tokens.shape[-2:])
        images = tokens.new_empty((len(tokens), 3, height, width), dtype=torch.uint8)
        for part in slices(len(tokens), self._chunk_size(height * width)):
            embedded = self.model.embed_levels(tokens[part].long().to(device))
            with float32_arithmetic(device):
                restored = self.model.reconstruct(embedded)
            images[part] = round_pixels(restored).to(tokens.device)
        return images

    def _chunk_size(self, pixels: int) -> int:
        """Images of so many pixels that are encoded or decoded at a time."""
        return max(1, CHUNK_PIXELS[self.codebook.device.type] // pixels)

    def first(self, levels: int) -> VQAETokenizer:
        """Make the tokenizer of the first levels, on the CPU; itself where these are all."""
        if isinstance(self.model, ScalarAutoencoder) or levels == self.model.levels:
            return self
        card = self.card | {"levels": f"the first {levels} of {self.model.levels}"}
        return VQAETokenizer(first_levels(self.model, levels), card, self.path)

    def save(self, path: Path) -> None:
        """Write weights, configuration and model card to a safetensors file, atomically."""
        metadata = {**self.card, "config": json.dumps(self.model.config), "identity": self.identity}
        write_tensor_file(path, file_tensors(self.model), metadata)


def _description(model: VQAutoencoder | ScalarAutoencoder) -> str:
    """Text of everything beside the weights that fixes a model's codes."""
    if isinstance(model, ScalarAutoencoder):
        return f"{PREPROCESSING} {model.quantiser.spec}"
    return PREPROCESSING


def file_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Convert a model to its file's tensors: weights in half precision, codebooks in float32."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        tensors[name] = tensor if name in CODEBOOKS else tensor.half()
    return tensors


def round_weights(model: nn.Module) -> None:
    """Round a model's weights in place to the precision of its file."""
    model.load_state_dict(file_tensors(model))


def _check_sizes(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Compare a model's sizes with the tensors of its file, before memory is taken for them.

    Raises:
        Exception: any, where it is no configuration.
        ValueError: they differ.
    """
    if config.get("depth", 0) > len(tensors):  # each block has several
        raise ValueError("fewer tensors than blocks")
    with torch.device("meta"):  # without memory
        expected = build_autoencoder(config).state_dict()
    for name, tensor in expected.items():
        if tensors[name].shape != tensor.shape:
            raise ValueError(f"{name} is not of the shape {tuple(tensor.shape)}")


def load_tokenizer(path: Path) -> VQAETokenizer:
    """Read a tokenizer file.

    Raises:
        UserError: no such file, a damaged one, not a tokenizer, or weights that do not fit its
            configuration.
    """
    try:
        file = read_tensor_file(path, DAMAGED)
        card = dict(file.metadata)
        config = json.loads(card.pop("config"))
        _check_sizes(config, file.tensors)
        model = build_autoencoder(config)
        model.load_state_dict(file.tensors)
    except UserError:
        raise
    except Exception as error:
        raise unreadable(path, error) from error
    card.pop("identity", None)
    tokenizer = VQAETokenizer(model, card, path)
    check_identity(path, file.metadata, tokenizer.identity, file.has_digest)
    return tokenizer
