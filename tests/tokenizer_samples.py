"""Tokenizers to test and images to feed them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.autoencoder.vqae import VQAutoencoder
from seit_cl.tokenizers import Tokenizer, vit_vqgan
from seit_cl.tokenizers._published import PublishedTokenizer
from seit_cl.tokenizers._vit_vqgan_model import ViTVQGAN
from seit_cl.tokenizers.bundled import WEIGHTS, BundledTokenizer, load_tokenizer

CARD = {"data": "nothing, weights as drawn", "figures": "val PSNR −3 dB"}


@cache
def bundled() -> BundledTokenizer:
    """The tokenizer in the package."""
    return load_tokenizer(WEIGHTS)


def untrained(seed: int = 0, card: dict[str, str] | None = None) -> BundledTokenizer:
    """A tokenizer of 50 codes with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = VQAutoencoder(codes=50, dim=8, width=16, depth=1)
    return BundledTokenizer(model, card)


@cache
def from_file() -> BundledTokenizer:
    """The untrained tokenizer, saved and loaded."""
    with TemporaryDirectory() as folder:
        untrained(card=CARD).save(Path(folder) / "small.safetensors")
        return load_tokenizer(Path(folder) / "small.safetensors")


@cache
def vit(grid: int = 8, patch: int = 8, width: int = 128, seed: int = 0) -> PublishedTokenizer:
    """A small ViT-VQGAN of 100 codes with random weights, whose decoder is one head wide."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ViTVQGAN(grid, patch, codes=100, dim=8, encoder=(width, 2, 2, 96), decoder=(64, 1, 1, 80))
    return vit_vqgan.from_state("random weights", model.state_dict(), CARD)


# Every kind has a sample here, "kind" or "kind:variant", which the conformance tests run over.
SAMPLES: dict[str, Callable[[], Tokenizer]] = {"bundled": bundled, "bundled:file": from_file, "vit_vqgan": vit}


def images(count: int, side: int, seed: int = 0) -> Tensor:
    """Random images (B, 3, S, S) uint8 with coarse and fine structure."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(count, 3, 5, 5, generator=generator), side, mode="bicubic")
    fine = torch.rand(count, 3, side, side, generator=generator) - 0.5
    return ((coarse + 0.2 * fine) * 255).clamp(0, 255).to(torch.uint8)
