"""Tokenizers to test and images to feed them."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.autoencoder.vqae import VQAutoencoder
from seit_cl.frozen.fitting import Fit
from seit_cl.tokenizers import Tokenizer
from seit_cl.tokenizers.bundled import WEIGHTS, BundledTokenizer, load_tokenizer
from seit_cl.tokenizers.timm import TimmTokenizer, fit_timm

CARD = {"data": "nothing, weights as drawn", "figures": "val PSNR −3 dB"}


@cache
def bundled() -> BundledTokenizer:
    """The tokenizer in the package."""
    return load_tokenizer(WEIGHTS)


def untrained(seed: int = 0, card: dict[str, str] | None = None, levels: int = 1) -> BundledTokenizer:
    """A tokenizer of 50 codes with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = VQAutoencoder(codes=50, dim=8, width=16, depth=1, levels=levels)
        if levels > 1:
            torch.nn.init.normal_(model.detail[-1].weight, std=0.1)  # type: ignore[arg-type]
    return BundledTokenizer(model, card)


@cache
def residual(levels: int = 3) -> BundledTokenizer:
    """An untrained tokenizer of several levels."""
    return untrained(levels=levels)


@cache
def from_file() -> BundledTokenizer:
    """The untrained tokenizer, saved and loaded."""
    with TemporaryDirectory() as folder:
        untrained(card=CARD).save(Path(folder) / "small.safetensors")
        return load_tokenizer(Path(folder) / "small.safetensors")


@cache
def frozen(name: str = "mobilenetv3_small_050", **options: str | int) -> TimmTokenizer:
    """A backbone with random weights, and a quantiser of 16 codes fitted to its features of a few fractals."""
    sizes: dict[str, Any] = {"km": "16"} if not {"pq", "rq"} & set(options) else {}
    return fit_timm(name, Fit(**({"pretrained": "no", "images": 20, "dim": 8} | sizes | options)))


# Every kind has a sample here, "kind" or "kind:variant", which the conformance tests run over.
SAMPLES: dict[str, Callable[[], Tokenizer]] = {
    "bundled": bundled, "bundled:file": from_file, "bundled:levels": residual, "timm:convolutions": frozen,
    "timm:product": partial(frozen, "resnet10t", pq="2x16", layer=-2, stride=0),
    "timm:residual, attention": partial(frozen, "test_vit", rq="3x16", whiten="yes", seed=1),
}  # fmt: skip


def images(count: int, side: int, seed: int = 0) -> Tensor:
    """Random images (B, 3, S, S) uint8 with coarse and fine structure."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(count, 3, 5, 5, generator=generator), side, mode="bicubic")
    fine = torch.rand(count, 3, side, side, generator=generator) - 0.5
    return ((coarse + 0.2 * fine) * 255).clamp(0, 255).to(torch.uint8)
