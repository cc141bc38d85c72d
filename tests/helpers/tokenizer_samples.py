"""Tokenizers to test and images to feed them."""

from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.tokenizers import (
    Tokenizer,
    _vit_vqgan_tokenizer,
    bundled_unsupervised,
    ibq,
    llamagen,
    open_magvit2,
    open_tokenizer,
    titok,
    vqgan,
)
from seit_cl.tokenizers._published import PublishedTokenizer
from seit_cl.tokenizers._timm_tokenizer import TimmTokenizer, fit_timm
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer, load_tokenizer
from seit_cl.tokenizers.bundled import WEIGHTS
from seit_cl.tokenizers.nets.scalar_autoencoder import ScalarAutoencoder
from seit_cl.tokenizers.nets.vit_vqgan import ViTVQGAN
from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.features import FitOptions

CARD = {"data": "nothing, weights as drawn", "figures": "val PSNR −3 dB"}


@cache
def bundled() -> VQAETokenizer:
    """The tokenizer in the package."""
    return load_tokenizer(WEIGHTS)


@cache
def unsupervised() -> VQAETokenizer:
    """The tokenizer in the package that was trained without labels."""
    return load_tokenizer(bundled_unsupervised.WEIGHTS)


def untrained(seed: int = 0, card: dict[str, str] | None = None, levels: int = 1) -> VQAETokenizer:
    """A tokenizer of 50 codes with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = VQAutoencoder(codes=50, dim=8, width=16, depth=1, levels=levels)
        if levels > 1:
            torch.nn.init.normal_(model.detail[-1].weight, std=0.1)  # type: ignore[arg-type]
    return VQAETokenizer(model, card)


@cache
def residual(levels: int = 3) -> VQAETokenizer:
    """An untrained tokenizer of several levels."""
    return untrained(levels=levels)


@cache
def scalar(quantiser: str = "fsq:8,5,5,5", seed: int = 0) -> VQAETokenizer:
    """A tokenizer without a codebook, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ScalarAutoencoder(quantiser, width=16, depth=1)
    return VQAETokenizer(model, CARD)


@cache
def from_file() -> VQAETokenizer:
    """The untrained tokenizer, saved and loaded."""
    with TemporaryDirectory() as folder:
        untrained(card=CARD).save(Path(folder) / "small.safetensors")
        return load_tokenizer(Path(folder) / "small.safetensors")


@cache
def vit(grid: int = 8, patch: int = 8, width: int = 128, seed: int = 0) -> PublishedTokenizer:
    """A small ViT-VQGAN of 100 codes with random weights, whose decoder is one head wide."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ViTVQGAN(
            grid, patch, codes=100, dim=8, encoder=(width, 2, 2, 96), decoder=(64, 1, 1, 80)
        )
    return _vit_vqgan_tokenizer.from_state("random weights", model.state_dict(), CARD)


def vqgan_shapes(
    channels: tuple[int, ...],
    attention: tuple[int, ...],
    codes: int,
    dim: int,
    features: int,
    *,
    blocks: int = 2,
    gumbel: bool = False,
) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of a checkpoint of taming-transformers for a configuration.

    Args:
        channels: of each resolution, the largest first.
        attention: which of these have attention.
        codes: K.
        dim: D.
        features: channels between encoder and codebook.
        blocks: of each resolution of the encoder; the decoder has one more.
        gumbel: True where a linear map chooses the code.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, inputs: int, outputs: int, side: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)})

    def norm(name: str, width: int) -> None:
        shapes.update({f"{name}.weight": (width,), f"{name}.bias": (width,)})

    def resnet(name: str, inputs: int, outputs: int) -> None:
        norm(f"{name}.norm1", inputs)
        conv(f"{name}.conv1", inputs, outputs, 3)
        norm(f"{name}.norm2", outputs)
        conv(f"{name}.conv2", outputs, outputs, 3)
        if inputs != outputs:
            conv(f"{name}.nin_shortcut", inputs, outputs, 1)

    def attend(name: str, width: int) -> None:
        norm(f"{name}.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            conv(f"{name}.{part}", width, width, 1)

    def middle(side: str) -> None:
        resnet(f"{side}.mid.block_1", channels[-1], channels[-1])
        attend(f"{side}.mid.attn_1", channels[-1])
        resnet(f"{side}.mid.block_2", channels[-1], channels[-1])

    def level(name: str, i: int, inputs: int, count: int, change: str | None) -> None:
        for j in range(count):
            resnet(f"{name}.{i}.block.{j}", channels[i] if j else inputs, channels[i])
            if i in attention:
                attend(f"{name}.{i}.attn.{j}", channels[i])
        if change:
            conv(f"{name}.{i}.{change}.conv", channels[i], channels[i], 3)

    last = len(channels) - 1
    conv("encoder.conv_in", 3, channels[0], 3)
    for i in range(len(channels)):
        level(
            "encoder.down", i, channels[max(0, i - 1)], blocks, "downsample" if i < last else None
        )
        level("decoder.up", i, channels[min(last, i + 1)], blocks + 1, "upsample" if i else None)
    middle("encoder")
    middle("decoder")
    norm("encoder.norm_out", channels[-1])
    norm("decoder.norm_out", channels[0])
    conv("encoder.conv_out", channels[-1], features, 3)
    conv("decoder.conv_in", features, channels[-1], 3)
    conv("decoder.conv_out", channels[0], 3, 3)
    conv("quant_conv", features, dim, 1)
    conv("post_quant_conv", dim, features, 1)
    shapes[f"quantize.{'embed' if gumbel else 'embedding'}.weight"] = (codes, dim)
    if gumbel:
        conv("quantize.proj", dim, codes, 1)
    return shapes


@cache
def vqgan_f8(gumbel: bool = False) -> PublishedTokenizer:
    """A small VQGAN of stride 8 and 60 codes with random weights; attention at its last stage."""
    shapes = vqgan_shapes((32, 32, 64, 64), (3,), 60, 4, 6, blocks=1, gumbel=gumbel)
    state = random_state(shapes)
    return vqgan.from_state("random weights", state, CARD)


def llamagen_name(name: str, levels: int) -> str:
    """LlamaGen's name of a tensor of taming-transformers.

    Args:
        name: e.g. "decoder.up.0.block.1.conv1.weight".
        levels: number of resolutions; LlamaGen's decoder counts them from the smallest.
    """
    for i in range(levels):
        name = name.replace(f"encoder.down.{i}.", f"encoder.conv_blocks.{i}.")
        name = name.replace(f"decoder.up.{i}.", f"decoder.conv_blocks.{levels - 1 - i}.")
    for theirs, ours in (("block_1", "0"), ("attn_1", "1"), ("block_2", "2"), (".block.", ".res.")):
        name = name.replace(theirs, ours)
    return name


def llamagen_shapes(
    channels: tuple[int, ...], codes: int, dim: int, features: int
) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of a checkpoint of LlamaGen; arguments as of `vqgan_shapes`."""
    shapes = vqgan_shapes(channels, (len(channels) - 1,), codes, dim, features)
    return {llamagen_name(name, len(channels)): shape for name, shape in shapes.items()}


def random_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Random tensors of these shapes that keep activations of about their size."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        fan_in = max(1, torch.Size(shape).numel() // shape[0])
        state[name] = torch.randn(shape, generator=generator) / fan_in**0.5
    return state


@cache
def llamagen_f4() -> PublishedTokenizer:
    """A small LlamaGen tokenizer of stride 4 and 50 codes with random weights."""
    state = random_state(llamagen_shapes((32, 32, 64), 50, 8, 6))
    return llamagen.from_state("random weights", state, CARD)


@cache
def ibq_f4() -> PublishedTokenizer:
    """A small IBQ tokenizer of stride 4 and 50 codes with random weights, 4 blocks a level."""
    state = random_state(vqgan_shapes((32, 32, 64), (2,), 50, 8, 6, blocks=4))
    # Without large biases and much longer vectors than others, images have several codes.
    for name in ("quant_conv.bias", "encoder.conv_out.bias", "encoder.norm_out.bias"):
        state[name] = torch.zeros_like(state[name])
    lengths = torch.linspace(0.8, 1.2, 50)[:, None]
    book = "quantize.embedding.weight"
    state[book] = F.normalize(state[book]) * lengths
    return ibq.from_state("random weights", state, CARD)


def magvit2_shapes(channels: tuple[int, ...], bits: int, blocks: int) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of a checkpoint of Open-MAGVIT2 for a configuration.

    Args:
        channels: of each resolution, the largest first.
        bits: of each position.
        blocks: of each resolution, and between encoder and decoder.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def affine(name: str, *shape: int) -> None:
        shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    def stack(name: str, inputs: int, outputs: int) -> None:
        for j in range(blocks):
            first = inputs if j == 0 else outputs
            affine(f"{name}.{j}.norm1", first)
            affine(f"{name}.{j}.norm2", outputs)
            shapes[f"{name}.{j}.conv1.weight"] = (outputs, first, 3, 3)
            shapes[f"{name}.{j}.conv2.weight"] = (outputs, outputs, 3, 3)
            if first != outputs:
                shapes[f"{name}.{j}.nin_shortcut.weight"] = (outputs, first, 1, 1)

    last = len(channels) - 1
    shapes["encoder.conv_in.weight"] = (channels[0], 3, 3, 3)
    for i, width in enumerate(channels):
        stack(f"encoder.down.{i}.block", channels[max(0, i - 1)], width)
        if i < last:
            affine(f"encoder.down.{i}.downsample", width, width, 3, 3)
        above = channels[min(last, i + 1)]
        stack(f"decoder.up.{i}.block", above, width)
        if i:
            affine(f"decoder.up.{i}.upsample.conv1", 4 * width, width, 3, 3)
        affine(f"decoder.adaptive.{i}.gamma", above, bits)
        affine(f"decoder.adaptive.{i}.beta", above, bits)
    stack("encoder.mid_block", channels[-1], channels[-1])
    stack("decoder.mid_block", channels[-1], channels[-1])
    affine("encoder.norm_out", channels[-1])
    affine("encoder.conv_out", bits, channels[-1], 1, 1)
    affine("decoder.conv_in", channels[-1], bits, 3, 3)
    affine("decoder.norm_out", channels[0])
    affine("decoder.conv_out", 3, channels[0], 3, 3)
    return shapes


@cache
def magvit2_f4() -> PublishedTokenizer:
    """A small Open-MAGVIT2 tokenizer of stride 4 and 18 bits with random weights."""
    state = random_state(magvit2_shapes((32, 32, 64), 18, 2))
    return open_magvit2.from_state("random weights", state, CARD)


def titok_shapes(
    encoder: tuple[int, int, int],
    decoder: tuple[int, int, int],
    length: int,
    codes: int,
    dim: int,
    pixels: tuple[tuple[int, ...], int, int] | None = None,
) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of a checkpoint of TiTok for a configuration.

    Args:
        encoder: width, depth, and patches along one side of the image; patches of 16 px.
        decoder: likewise.
        length: N.
        codes: K.
        dim: D.
        pixels: channels of each resolution, codes and their dimension of MaskGIT's decoder, which
            the first models have.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def affine(name: str, *shape: int) -> None:
        shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    def transformer(name: str, width: int, depth: int, side: int) -> None:
        shapes[f"{name}.class_embedding"] = (1, width)
        shapes[f"{name}.positional_embedding"] = (side * side + 1, width)
        shapes[f"{name}.latent_token_positional_embedding"] = (length, width)
        for part in ("ln_pre", "ln_post"):
            affine(f"{name}.{part}", width)
        for i in range(depth):
            block = f"{name}.transformer.{i}"
            affine(f"{block}.ln_1", width)
            affine(f"{block}.ln_2", width)
            shapes[f"{block}.attn.in_proj_weight"] = (3 * width, width)
            shapes[f"{block}.attn.in_proj_bias"] = (3 * width,)
            affine(f"{block}.attn.out_proj", width, width)
            affine(f"{block}.mlp.c_fc", 4 * width, width)
            affine(f"{block}.mlp.c_proj", width, 4 * width)

    def stack(name: str, inputs: int, outputs: int) -> None:
        for j in range(2):
            first = inputs if j == 0 else outputs
            affine(f"{name}.{j}.norm1", first)
            affine(f"{name}.{j}.norm2", outputs)
            shapes[f"{name}.{j}.conv1.weight"] = (outputs, first, 3, 3)
            shapes[f"{name}.{j}.conv2.weight"] = (outputs, outputs, 3, 3)
            if first != outputs:
                shapes[f"{name}.{j}.nin_shortcut.weight"] = (outputs, outputs, 1, 1)

    shapes["latent_tokens"] = (length, encoder[0])
    shapes["quantize.embedding.weight"] = (codes, dim)
    transformer("encoder", *encoder)
    transformer("decoder", *decoder)
    affine("encoder.patch_embed", encoder[0], 3, 16, 16)
    affine("encoder.conv_out", dim, encoder[0], 1, 1)
    affine("decoder.decoder_embed", decoder[0], dim)
    shapes["decoder.mask_token"] = (1, 1, decoder[0])
    if pixels is None:
        affine("decoder.ffn.0", 16 * 16 * 3, decoder[0], 1, 1)
        affine("decoder.conv_out", 3, 3, 3, 3)
        return shapes
    channels, pixel_codes, pixel_dim = pixels
    last = len(channels) - 1
    affine("decoder.ffn.0", 2 * decoder[0], decoder[0], 1, 1)
    affine("decoder.ffn.2", pixel_codes, 2 * decoder[0], 1, 1)
    shapes["pixel_quantize.embedding.weight"] = (pixel_codes, pixel_dim)
    affine("pixel_decoder.conv_in", channels[-1], pixel_dim, 3, 3)
    stack("pixel_decoder.mid", channels[-1], channels[-1])
    for i, width in enumerate(channels):
        stack(f"pixel_decoder.up.{i}.block", channels[min(last, i + 1)], width)
        if i:
            affine(f"pixel_decoder.up.{i}.upsample_conv", width, width, 3, 3)
    affine("pixel_decoder.norm_out", channels[0])
    affine("pixel_decoder.conv_out", 3, channels[0], 3, 3)
    return shapes


@cache
def titok_s6(legacy: bool = True) -> PublishedTokenizer:
    """A small TiTok with 6 of 40 codes for an image of 64 px, with random weights.

    Args:
        legacy: one of the first models, which decode with MaskGIT's decoder.
    """
    pixels = ((32, 32, 32, 32, 64), 20, 8) if legacy else None
    state = random_state(titok_shapes((64, 2, 4), (128, 1, 4), 6, 40, 8, pixels))
    return titok.from_state("random weights", state, CARD)


@cache
def vq_model() -> Tokenizer:
    """A small VQModel of diffusers with random weights; skips the test without the package."""
    package = pytest.importorskip("diffusers", reason="needs the package diffusers")
    with TemporaryDirectory() as folder, torch.random.fork_rng():
        torch.manual_seed(0)
        package.VQModel(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(32,) * 3,
            latent_channels=3,
            num_vq_embeddings=40,
            layers_per_block=1,
        ).save_pretrained(folder)
        return open_tokenizer(f"diffusers:{folder}")


@cache
def frozen(name: str = "mobilenetv3_small_050", **options: str | int) -> TimmTokenizer:
    """A backbone with random weights, and a quantiser of 16 codes fitted on a few fractals."""
    sizes: dict[str, Any] = {"km": "16"} if not {"pq", "rq"} & set(options) else {}
    return fit_timm(
        name, FitOptions(**({"pretrained": "no", "images": 20, "dim": 8} | sizes | options))
    )


# Samples of every kind, "kind" or "kind:variant", for the conformance tests.
SAMPLES: dict[str, Callable[[], Tokenizer]] = {
    "bundled": bundled,
    "bundled:file": from_file,
    "bundled:levels": residual,
    "bundled:fsq": scalar,
    "bundled:bsq, two codes a position": partial(scalar, "bsq:18"),
    "bundled_unsupervised": unsupervised,
    "vit_vqgan": vit,
    "diffusers": vq_model,
    "vqgan": vqgan_f8,
    "vqgan:gumbel": lambda: vqgan_f8(gumbel=True),
    "ibq": ibq_f4,
    "llamagen": llamagen_f4,
    "open_magvit2": magvit2_f4,
    "titok": titok_s6,
    "titok:pixels": lambda: titok_s6(legacy=False),
    "timm:convolutions": frozen,
    "timm:product": partial(frozen, "resnet10t", pq="2x16", layer=-2, stride=0),
    "timm:residual, attention": partial(frozen, "test_vit", rq="3x16", whiten="yes", seed=1),
}

# Of these, the kinds whose packages are installed.
AVAILABLE = sorted(name for name in SAMPLES if name != "diffusers" or find_spec("diffusers"))


def images(count: int, side: int, seed: int = 0) -> Tensor:
    """Random images (B, 3, S, S) uint8 with coarse and fine structure."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(count, 3, 5, 5, generator=generator), side, mode="bicubic")
    fine = torch.rand(count, 3, side, side, generator=generator) - 0.5
    return ((coarse + 0.2 * fine) * 255).clamp(0, 255).to(torch.uint8)
