"""VQGAN: arithmetic against a plain implementation, published configurations, checkpoints."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from helpers.tokenizer_samples import images, vqgan_f8, vqgan_shapes
from seit_cl.core.errors import UserError
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.nets.vqgan import VQGAN, nearest
from seit_cl.tokenizers.vqgan import from_state

State = dict[str, Tensor]


def plain_norm(x: Tensor, state: State, name: str) -> Tensor:
    """Group normalisation of one image (C, H, W) with 32 groups."""
    groups = x.reshape(32, -1)
    centred = groups - groups.mean(1, keepdim=True)
    normed = (centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()).view(x.shape)
    return normed * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def plain_conv(
    x: Tensor, state: State, name: str, stride: int = 1, border: tuple[int, ...] = (1, 1, 1, 1)
) -> Tensor:
    """A convolution of one image (C, H, W) as a matrix product over its patches."""
    weight = state[f"{name}.weight"]
    side = weight.shape[-1]
    padded = F.pad(x, border if side > 1 else (0, 0, 0, 0))
    patches = padded.unfold(1, side, stride).unfold(2, side, stride)
    return torch.einsum("chwij,ocij->ohw", patches, weight) + state[f"{name}.bias"][:, None, None]


def plain_resnet(x: Tensor, state: State, name: str) -> Tensor:
    y = x
    for i in (1, 2):
        y = plain_norm(y, state, f"{name}.norm{i}")
        y = plain_conv(y * torch.sigmoid(y), state, f"{name}.conv{i}")
    if f"{name}.nin_shortcut.weight" in state:
        x = plain_conv(x, state, f"{name}.nin_shortcut")
    return y + x


def plain_attention(x: Tensor, state: State, name: str) -> Tensor:
    normed = plain_norm(x, state, f"{name}.norm")
    queries, keys, values = (
        plain_conv(normed, state, f"{name}.{part}").flatten(1) for part in "qkv"
    )
    scores = (queries.T @ keys / len(x) ** 0.5).exp()
    mixed = values @ (scores / scores.sum(1, keepdim=True)).T
    return x + plain_conv(mixed.view(x.shape), state, f"{name}.proj_out")


def plain_level(x: Tensor, state: State, name: str) -> Tensor:
    for j in range(3):
        if f"{name}.block.{j}.conv1.weight" in state:
            x = plain_resnet(x, state, f"{name}.block.{j}")
        if f"{name}.attn.{j}.q.weight" in state:
            x = plain_attention(x, state, f"{name}.attn.{j}")
    return x


def plain_middle(x: Tensor, state: State, side: str) -> Tensor:
    x = plain_attention(plain_resnet(x, state, f"{side}.mid.block_1"), state, f"{side}.mid.attn_1")
    return plain_resnet(x, state, f"{side}.mid.block_2")


def plain_end(x: Tensor, state: State, side: str) -> Tensor:
    x = plain_norm(x, state, f"{side}.norm_out")
    return plain_conv(x * torch.sigmoid(x), state, f"{side}.conv_out")


def plain_latents(image: Tensor, state: State) -> Tensor:
    x = plain_conv(image.double() / 127.5 - 1, state, "encoder.conv_in")
    for i in range(4):
        x = plain_level(x, state, f"encoder.down.{i}")
        if i < 3:
            x = plain_conv(x, state, f"encoder.down.{i}.downsample.conv", 2, (0, 1, 0, 1))
    return plain_conv(
        plain_end(plain_middle(x, state, "encoder"), state, "encoder"), state, "quant_conv"
    )


def plain_image(codes: Tensor, state: State) -> Tensor:
    x = plain_conv(plain_conv(codes, state, "post_quant_conv"), state, "decoder.conv_in")
    x = plain_middle(x, state, "decoder")
    for i in (3, 2, 1, 0):
        x = plain_level(x, state, f"decoder.up.{i}")
        if i:
            x = plain_conv(
                x.repeat_interleave(2, 1).repeat_interleave(2, 2),
                state,
                f"decoder.up.{i}.upsample.conv",
            )
    return plain_end(x, state, "decoder")


@pytest.mark.parametrize("gumbel", [False, True])
@pytest.mark.parametrize("side", [32, 40])
def test_encoding_and_decoding_are_the_published_arithmetic_done_plainly(
    gumbel: bool, side: int
) -> None:
    tokenizer = vqgan_f8(gumbel)
    batch = images(2, side)
    state = {name: tensor.double() for name, tensor in tokenizer.state.items()}
    tokens = tokenizer.encode(batch)
    for image, codes, restored in zip(
        batch, tokens[:, 0].long(), tokenizer.decode(tokens), strict=True
    ):
        latents = plain_latents(image, state)
        if gumbel:
            worse = -plain_conv(latents, state, "quantize.proj")
        else:
            worse = (
                (latents[None] - state["quantize.embedding.weight"][:, :, None, None])
                .square()
                .sum(1)
            )
        assert (worse.gather(0, codes[None])[0] - worse.min(0).values).max() < 1e-4
        expected = plain_image(tokenizer.codebook[0].double()[codes].permute(2, 0, 1), state)
        assert ((expected.clamp(-1, 1) + 1) * 127.5 - restored).abs().max() <= 0.51  # rounding


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), codes=st.integers(2, 40), dim=st.integers(1, 8))
def test_the_nearest_code_is_the_one_at_the_smallest_distance(
    seed: int, codes: int, dim: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(2, dim, 3, 4, generator=generator)
    book = torch.randn(codes, dim, generator=generator)
    distances = torch.cdist(latents.permute(0, 2, 3, 1).reshape(-1, dim).double(), book.double())
    taken = nearest(latents, book).reshape(-1, 1)
    assert (distances.gather(1, taken)[:, 0] - distances.min(1).values).max() < 1e-4


PUBLISHED = {  # channels, attention, K, D, features, Gumbel; stride
    "taming f16, 1,024 codes": ((128, 128, 256, 256, 512), (4,), 1024, 256, 256, False, 16),
    "taming f16, 16,384 codes": ((128, 128, 256, 256, 512), (4,), 16384, 256, 256, False, 16),
    "taming f8, Gumbel": ((128, 128, 256, 512), (3,), 8192, 256, 256, True, 8),
    "latent-diffusion f8": ((128, 256, 256, 512), (3,), 16384, 4, 4, False, 8),
    "latent-diffusion f16": ((128, 128, 256, 256, 512), (4,), 16384, 8, 8, False, 16),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configurations_are_read_from_names_and_shapes(name: str) -> None:
    channels, attention, codes, dim, features, gumbel, stride = PUBLISHED[name]
    shapes = {
        key: torch.Size(s)
        for key, s in vqgan_shapes(channels, attention, codes, dim, features, gumbel=gumbel).items()
    }
    with torch.device("meta"):
        model = VQGAN(shapes)
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == shapes
    assert model.stride == stride
    assert model.vectors.shape == (codes, dim)


def test_a_lightning_checkpoint_is_loaded_without_its_loss_and_averages(tmp_path: Path) -> None:
    more = {
        "loss.discriminator.main.0.weight": torch.ones(2),
        "model_ema.decay": torch.ones(()),
        "model_ema.x": torch.ones(1),
    }
    torch.save({"state_dict": {**vqgan_f8().state, **more}, "epoch": 1}, tmp_path / "last.ckpt")
    opened = open_tokenizer(f"vqgan:{tmp_path}/last.ckpt")
    assert opened.identity == vqgan_f8().identity
    assert torch.equal(opened.encode(images(1, 32)), vqgan_f8().encode(images(1, 32)))
    assert opened.card == {"ignored": "1 tensors of loss.*, 2 tensors of model_ema.*"}


@settings(max_examples=20, deadline=None)
@given(name=st.sampled_from(sorted(vqgan_f8().state)))
def test_every_missing_tensor_is_named(name: str) -> None:
    state = {other: tensor for other, tensor in vqgan_f8().state.items() if other != name}
    with pytest.raises(UserError, match=r"file\.ckpt: ") as refused:
        from_state("file.ckpt", state)
    assert name in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_left_over_tensors_and_shapes_that_no_vqgan_has_are_named() -> None:
    state = vqgan_f8().state
    with pytest.raises(UserError, match=r"left over encoder\.mid\.attn_2\.q\.weight"):
        from_state("x", {**state, "encoder.mid.attn_2.q.weight": torch.ones(1)})
    with pytest.raises(UserError, match=r"of another shape quant_conv\.bias \(9,\) for \(4,\)"):
        from_state("x", {**state, "quant_conv.bias": torch.ones(9)})
    with pytest.raises(UserError, match="x: its shapes are no VQGAN's"):
        from_state("x", {**state, "encoder.down.1.block.0.norm1.weight": torch.ones(33)})


def test_a_vit_vqgan_is_no_vqgan(tmp_path: Path) -> None:
    torch.save({"encoder.en_pos_embedding": torch.ones(1, 4, 8)}, tmp_path / "x.pt")
    with pytest.raises(
        UserError, match=r"no checkpoint of a VQGAN: missing .* it has encoder\.en_pos_embedding"
    ):
        open_tokenizer(f"vqgan:{tmp_path}/x.pt")


@pytest.mark.parametrize("gumbel", [False, True])
def test_a_saved_tokenizer_opens_by_its_path_alone(gumbel: bool, tmp_path: Path) -> None:
    path = tmp_path / "vqgan.safetensors"
    made = vqgan_f8(gumbel)
    made.save(path)
    opened = open_tokenizer(str(path))
    assert (opened.identity, opened.card, opened.stride) == (made.identity, made.card, 8)
    assert torch.equal(opened.encode(images(2, 48)), made.encode(images(2, 48)))
