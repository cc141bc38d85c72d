"""VQGAN: arithmetic against a plain implementation, published configurations, checkpoints."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.plain_vqgan import plain_conv, taming_image, taming_latents
from helpers.tokenizer_samples import images, vqgan_f8, vqgan_shapes
from seit_cl.core.errors import UserError
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.nets.vqgan import VQGAN
from seit_cl.tokenizers.nets.vqgan_codes import GumbelQuantizer, NearestQuantizer, nearest
from seit_cl.tokenizers.vqgan import from_state


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
        latents = taming_latents(image, state, 4)
        if gumbel:
            worse = -plain_conv(latents, state, "quantize.proj")
        else:
            worse = (
                (latents[None] - state["quantize.embedding.weight"][:, :, None, None])
                .square()
                .sum(1)
            )
        assert (worse.gather(0, codes[None])[0] - worse.min(0).values).max() < 1e-4
        expected = taming_image(tokenizer.codebook[0].double()[codes].permute(2, 0, 1), state, 4)
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
        model = VQGAN(shapes, quantizer=GumbelQuantizer if gumbel else NearestQuantizer)
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


def test_a_name_with_a_huge_number_is_refused_at_once() -> None:
    state = {**vqgan_f8().state, "encoder.down.99999999999.block.0.conv1.weight": torch.ones(1)}
    with pytest.raises(UserError, match="x: its shapes are no VQGAN's"):
        from_state("x", state)


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
