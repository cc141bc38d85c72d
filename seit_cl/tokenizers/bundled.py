"""The tokenizer that ships with the package, and files of the same kind trained by `python -m seit_cl.tokenize train`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.core.specs import argument
from seit_cl.formats.entropy.reader import EntropyReader
from seit_cl.tokenizers.base import TokenizerKind, check_side, identity_of
from seit_cl.tokenizers.nets.vqae import STRIDE, VQAutoencoder, first_levels

WEIGHTS = Path(__file__).with_name("bundled.safetensors")
CODEBOOKS = ("codebook", "residuals")
PREPROCESSING = "uint8/127.5-1"
CHUNK_PIXELS = {
    "cpu": 64 * 64 * 64,
    "cuda": 4096 * 64 * 64,
}  # encoded at a time; a CPU keeps such feature maps in its cache


class BundledTokenizer:
    """A VQAutoencoder's weights as a Tokenizer (seit_cl.tokenizers.base).

    Args:
        model: the trained weights.
        card: model card.
        path: the file that it was read from; its entropy model may be in the same folder.
    """

    combine: Literal["sum", "concat"] = "sum"
    stride = STRIDE
    decodes = True

    def __init__(
        self,
        model: VQAutoencoder,
        card: dict[str, str] | None = None,
        path: Path | None = None,
    ) -> None:
        self.model = rounded(model.eval().requires_grad_(False)).to(
            memory_format=torch.channels_last
        )
        self.card = card or {}
        self.codebook = torch.cat(
            [model.codebook[None], *([model.residuals] if model.levels > 1 else [])]
        )
        groups, codes, _ = self.codebook.shape
        self.mirror = torch.arange(codes).roll(codes // 2).repeat(groups, 1)
        self.identity = identity_of(PREPROCESSING, model.state_dict())
        self.path, self.entropy_model = path, EntropyReader(self.identity, path)
        self.codec_bytes = sum(t.numel() * t.element_size() for t in stored(model).values())

    def to(self, device: torch.device | str) -> BundledTokenizer:
        """Move to a device, in place."""
        self.model.to(device)
        self.codebook, self.mirror = self.codebook.to(device), self.mirror.to(device)
        return self

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Tokens (B, L, S/8, S/8) int16, one of each level, of images (B, 3, S, S) uint8, on the images' device.

        Raises:
            UserError: the images are not square, or their side is not a multiple of 8.
        """
        check_side(images, STRIDE)
        side = images.shape[-1]
        device = self.model.codebook.device
        parts = []
        for chunk in images.split(max(1, CHUNK_PIXELS[device.type] // side**2)):
            scaled = chunk.to(device, memory_format=torch.channels_last).float() / 127.5 - 1
            with float32_arithmetic(device):
                parts.append(self.model.tokens(scaled).to(torch.int16))
        empty = (0, self.model.levels, side // STRIDE, side // STRIDE)
        return torch.cat(parts).to(images.device) if parts else images.new_zeros(empty).short()

    @torch.inference_mode()
    def decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, 8 H, 8 W) uint8 of tokens (B, L, H, W)."""
        device = self.model.codebook.device
        embedded = self.model.embed_levels(tokens.long().to(device))
        with float32_arithmetic(device):
            images = self.model.reconstruct(embedded)
        return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).to(tokens.device)

    def first(self, levels: int) -> BundledTokenizer:
        """The tokenizer of the first levels alone, on the CPU; itself where these are all."""
        if levels == self.model.levels:
            return self
        card = self.card | {"levels": f"the first {levels} of {self.model.levels}"}
        return BundledTokenizer(first_levels(self.model, levels), card, self.path)

    def save(self, path: Path) -> None:
        """Write weights, configuration and model card into one safetensors file, atomically."""
        tensors = {name: tensor.contiguous() for name, tensor in stored(self.model).items()}
        metadata = {**self.card, "config": json.dumps(self.model.config), "identity": self.identity}
        write_atomic(path, save(tensors, metadata=metadata))


def stored(model: VQAutoencoder) -> dict[str, Tensor]:
    """What a file holds: weights in half precision, the codebooks in float32, as learners see them."""
    return {
        name: tensor if name in CODEBOOKS else tensor.half()
        for name, tensor in model.state_dict().items()
    }


def rounded(model: VQAutoencoder) -> VQAutoencoder:
    """The model, changed in place to what its file would give back."""
    model.load_state_dict(stored(model))
    return model


@contextmanager
def float32_arithmetic(device: torch.device) -> Iterator[None]:
    """No autocast, and on CUDA no TF32, which PyTorch allows in convolutions unless told otherwise."""
    settings: tuple[Any, ...] = ()
    if device.type == "cuda":
        settings = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision


def load_tokenizer(path: Path) -> BundledTokenizer:
    """Read a tokenizer file.

    Raises:
        UserError: no such file, not a tokenizer, or weights that do not fit its configuration.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        model = VQAutoencoder(**json.loads(metadata.pop("config")))
        model.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path}: not a readable tokenizer file ({type(error).__name__}); train one with "
            "python -m seit_cl.tokenize train --data-root DIR --out FILE.safetensors"
        ) from error
    metadata.pop("identity", None)
    return BundledTokenizer(model, metadata, path)


@dataclass(frozen=True)
class BundledOptions:
    """Options of the bundled kind.

    Args:
        file: a tokenizer file; "": the one in the package.
        levels: codes a position, the first ones of the file's; 0: all.
    """

    file: str = argument("FILE.safetensors", default="")
    levels: int = 0


class Bundled(TokenizerKind):
    """Open the package's tokenizer or a trained file of its kind."""

    about = (
        "a small mirror-symmetric vector-quantised autoencoder, in the package or of "
        "`tokenize train`; one code a position, or several residual levels"
    )
    source = "van den Oord et al., NeurIPS 2017 (VQ-VAE)"
    Options = BundledOptions

    @classmethod
    def build(cls, options: BundledOptions, context: None = None) -> BundledTokenizer:
        """Load the file and use its first levels.

        Raises:
            UserError: an unreadable file, or more levels than it has.
        """
        tokenizer = load_tokenizer(Path(options.file) if options.file else WEIGHTS)
        most = tokenizer.model.levels
        if not 0 <= options.levels <= most:
            raise UserError(
                f"{options.file or 'bundled'}: levels={options.levels}, but it has {most}; more are "
                "trained by python -m seit_cl.tokenize train --levels"
            )
        return tokenizer.first(options.levels or most)


TOKENIZER = Bundled
