"""LlamaGen: arithmetic against a plain implementation, published configurations, checkpoints."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.plain_vqgan import (
    State,
    plain_conv,
    plain_downsample,
    plain_end,
    plain_level,
    plain_middle,
    plain_upsample,
)
from helpers.tokenizer_samples import images, llamagen_f4, llamagen_shapes
from seit_cl.core.errors import UserError
from seit_cl.formats import FormatContext, build_format
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._checkpoint import model_of
from seit_cl.tokenizers.llamagen import from_state
from seit_cl.tokenizers.nets.llamagen import LlamaGen

MIDDLE = ("0", "1", "2")
LEVELS = 3


def plain_latents(image: Tensor, state: State) -> Tensor:
    x = plain_conv(image.double() / 127.5 - 1, state, "encoder.conv_in")
    for i in range(LEVELS):
        x = plain_level(x, state, f"encoder.conv_blocks.{i}", "res")
        if i < LEVELS - 1:
            x = plain_downsample(x, state, f"encoder.conv_blocks.{i}")
    x = plain_middle(x, state, "encoder", MIDDLE)
    return plain_conv(plain_end(x, state, "encoder"), state, "quant_conv")


def plain_image(vectors: Tensor, state: State) -> Tensor:
    x = plain_conv(plain_conv(vectors, state, "post_quant_conv"), state, "decoder.conv_in")
    x = plain_middle(x, state, "decoder", MIDDLE)
    for i in range(LEVELS):  # the smallest resolution first
        x = plain_level(x, state, f"decoder.conv_blocks.{i}", "res")
        if i < LEVELS - 1:
            x = plain_upsample(x, state, f"decoder.conv_blocks.{i}")
    return plain_end(x, state, "decoder")


def unit(vectors: Tensor, dim: int) -> Tensor:
    return vectors / vectors.square().sum(dim, keepdim=True).sqrt()


def test_encoding_and_decoding_are_the_published_arithmetic_done_plainly() -> None:
    tokenizer = llamagen_f4()
    batch = images(2, 24)
    state = {name: tensor.double() for name, tensor in tokenizer.state.items()}
    book = unit(state["quantize.embedding.weight"], 1)
    tokens = tokenizer.encode(batch)
    restored = tokenizer.decode(tokens)
    assert (tokenizer.codebook[0].double() - book).abs().max() < 1e-6
    for i in range(2):
        codes = tokens[i, 0].long()
        latents = unit(plain_latents(batch[i], state), 0)
        angles = torch.einsum("dhw,kd->khw", latents, book)
        assert (angles.max(0).values - angles.gather(0, codes[None])[0]).max() < 1e-5
        expected = plain_image(book[codes].permute(2, 0, 1), state)
        assert ((expected.clamp(-1, 1) + 1) * 127.5 - restored[i]).abs().max() <= 0.51  # rounding


PUBLISHED = {  # channels of the resolutions, stride, bytes of an image of 256 px
    "VQ-16": ((128, 128, 256, 256, 512), 16, 448),
    "VQ-8": ((128, 256, 256, 512), 8, 1792),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configurations_are_read_from_names_and_shapes(name: str) -> None:
    channels, stride, _ = PUBLISHED[name]
    listed = llamagen_shapes(channels, 16384, 8, 256)
    shapes = {key: torch.Size(shape) for key, shape in listed.items()}
    with torch.device("meta"):
        model = LlamaGen(shapes)
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == shapes
    assert model.stride == stride
    assert model.codebooks.shape == (1, 16384, 8)
    assert shapes["quant_conv.weight"] == (8, 256, 1, 1)
    assert model_of(shapes) == "LlamaGen"


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_image_of_256_px_takes_14_bits_a_token(name: str) -> None:
    _, stride, size = PUBLISHED[name]
    side = 256 // stride
    context = FormatContext(256, 10, 16384, (1, side, side), "0" * 16)
    assert build_format("tokens", context).fixed_length == size


@pytest.mark.parametrize("place", ["ema", "model", "state_dict", None])
def test_tensors_are_found_where_the_project_saves_them(place: str | None, tmp_path: Path) -> None:
    made = llamagen_f4()
    used = {"quantize.codebook_used": torch.zeros(65536)}
    state = {**made.state, **used}
    torch.save({place: state, "steps": 3} if place else state, tmp_path / "vq.pt")
    opened = open_tokenizer(f"llamagen:{tmp_path}/vq.pt")
    assert opened.identity == made.identity
    assert torch.equal(opened.encode(images(1, 16)), made.encode(images(1, 16)))
    assert opened.card == {"ignored": "1 tensors of quantize.codebook_used*"}


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    made = llamagen_f4()
    other = {name: tensor + 1 for name, tensor in made.state.items()}
    torch.save({"model": other, "ema": made.state}, tmp_path / "vq.pt")
    assert open_tokenizer(f"llamagen:{tmp_path}/vq.pt").identity == made.identity


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(llamagen_f4().state)))
def test_every_missing_tensor_is_named(name: str) -> None:
    state = {other: tensor for other, tensor in llamagen_f4().state.items() if other != name}
    with pytest.raises(UserError, match=r"file\.pt: ") as refused:
        from_state("file.pt", state)
    assert name in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_left_over_tensors_and_other_shapes_are_named() -> None:
    state = llamagen_f4().state
    with pytest.raises(UserError, match=r"left over encoder\.mid\.3\.norm\.weight"):
        from_state("x", {**state, "encoder.mid.3.norm.weight": torch.ones(1)})
    with pytest.raises(UserError, match=r"of another shape quant_conv\.bias \(9,\) for \(8,\)"):
        from_state("x", {**state, "quant_conv.bias": torch.ones(9)})


def test_a_vqgan_is_no_llamagen_tokenizer(tmp_path: Path) -> None:
    torch.save({"encoder.down.0.block.0.conv1.weight": torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(UserError, match=r"no checkpoint of a LlamaGen tokenizer: missing "):
        open_tokenizer(f"llamagen:{tmp_path}/x.pt")


def test_a_saved_tokenizer_opens_by_its_path_alone(tmp_path: Path) -> None:
    made = llamagen_f4()
    made.save(tmp_path / "vq.safetensors")
    opened = open_tokenizer(str(tmp_path / "vq.safetensors"))
    assert (opened.identity, opened.card, opened.stride) == (made.identity, made.card, 4)
    assert torch.equal(opened.encode(images(1, 16)), made.encode(images(1, 16)))


def test_a_checkpoint_with_the_options_of_its_training_says_how_to_save_the_weights(
    tmp_path: Path,
) -> None:
    path = tmp_path / "last.pt"
    torch.save({"model": llamagen_f4().state, "args": Namespace(codes=50)}, path)
    with pytest.raises(UserError, match=r"last\.pt: holds a pickled object.*\['model'\]") as error:
        open_tokenizer(f"llamagen:{path}")
    assert len(str(error.value).splitlines()) == 1
    kept = torch.load(path, weights_only=False)["model"]  # as the message says
    torch.save(kept, path)
    assert open_tokenizer(f"llamagen:{path}").identity == llamagen_f4().identity
