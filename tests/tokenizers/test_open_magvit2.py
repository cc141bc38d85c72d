"""Open-MAGVIT2: arithmetic against a plain implementation, bits and their order, checkpoints."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.plain_vqgan import State, plain_conv, plain_end, plain_resnet
from helpers.tokenizer_samples import images, magvit2_f4, magvit2_shapes, random_state
from seit_cl.core.errors import UserError
from seit_cl.formats import FormatContext, build_format
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._checkpoint import model_of
from seit_cl.tokenizers.nets.open_magvit2 import OpenMAGVIT2
from seit_cl.tokenizers.open_magvit2 import from_state

LEVELS = 3
BLOCKS = 2


def plain_stack(x: Tensor, state: State, name: str) -> Tensor:
    for j in range(BLOCKS):
        x = plain_resnet(x, state, f"{name}.{j}")
    return x


def plain_latents(image: Tensor, state: State) -> Tensor:
    x = plain_conv(image.double() / 127.5 - 1, state, "encoder.conv_in")
    for i in range(LEVELS):
        x = plain_stack(x, state, f"encoder.down.{i}.block")
        if i < LEVELS - 1:
            x = plain_conv(x, state, f"encoder.down.{i}.downsample", 2)
    return plain_end(plain_stack(x, state, "encoder.mid_block"), state, "encoder")


def plain_adaptive(x: Tensor, signs: Tensor, state: State, name: str) -> Tensor:
    groups = x.reshape(32, -1)
    centred = groups - groups.mean(1, keepdim=True)
    normed = (centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()).view(x.shape)
    positions = signs.flatten(1)
    mean = positions.mean(1)
    variance = (positions - mean[:, None]).square().sum(1) / (positions.shape[1] - 1)
    gamma = state[f"{name}.gamma.weight"] @ (variance + 1e-6).sqrt() + state[f"{name}.gamma.bias"]
    beta = state[f"{name}.beta.weight"] @ mean + state[f"{name}.beta.bias"]
    return normed * gamma[:, None, None] + beta[:, None, None]


def plain_upsample(x: Tensor, state: State, name: str) -> Tensor:
    channels, height, width = x.shape
    mapped = plain_conv(x, state, f"{name}.upsample.conv1")
    larger = mapped.new_empty(channels, 2 * height, 2 * width)
    for row in (0, 1):
        for column in (0, 1):
            start = (2 * row + column) * channels
            larger[:, row::2, column::2] = mapped[start : start + channels]
    return larger


def plain_image(signs: Tensor, state: State) -> Tensor:
    x = plain_stack(plain_conv(signs, state, "decoder.conv_in"), state, "decoder.mid_block")
    for i in reversed(range(LEVELS)):
        x = plain_adaptive(x, signs, state, f"decoder.adaptive.{i}")
        x = plain_stack(x, state, f"decoder.up.{i}.block")
        if i:
            x = plain_upsample(x, state, f"decoder.up.{i}")
    return plain_end(x, state, "decoder")


def test_encoding_and_decoding_are_the_published_arithmetic_done_plainly() -> None:
    tokenizer = magvit2_f4()
    batch = images(2, 24)
    state = {name: tensor.double() for name, tensor in tokenizer.state.items()}
    tokens = tokenizer.encode(batch)
    restored = tokenizer.decode(tokens)
    for i in range(2):
        latents = plain_latents(batch[i], state)
        signs = torch.where(latents > 0, 1.0, -1.0).double()
        bits = (signs > 0).long().view(2, 9, 6, 6)
        expected_codes = sum(bits[:, j] * 2**j for j in range(9))
        differ = expected_codes != tokens[i].long()
        assert not differ[latents.abs().view(2, 9, 6, 6).amin(1) > 1e-4].any()
        stored = torch.cat([tokenizer.codebook[g, tokens[i, g].long()] for g in (0, 1)], dim=-1)
        expected = plain_image(stored.double().permute(2, 0, 1), state)
        assert ((expected.clamp(-1, 1) + 1) * 127.5 - restored[i]).abs().max() <= 0.51  # rounding


def test_the_first_channel_of_a_group_is_the_lowest_bit() -> None:
    model = magvit2_f4().model
    latents = -torch.ones(1, 18, 1, 2)
    latents[0, 0, 0, 0] = 1  # the first channel of the first group
    latents[0, 17, 0, 1] = 1  # the last channel of the second
    assert model.codes(latents).flatten(2).tolist() == [[[1, 0], [0, 256]]]
    assert torch.equal(model.look_up(model.codes(latents)), latents)


def test_codes_have_the_numbers_of_the_project_at_each_half_of_the_bits() -> None:
    model = magvit2_f4().model
    latents = torch.randn(2, 18, 4, 4, generator=torch.Generator().manual_seed(0))
    powers = 2 ** torch.arange(18)
    index = ((latents > 0).long() * powers[:, None, None]).sum(1)  # of 2^18 codes
    codes = model.codes(latents)
    assert torch.equal(codes[:, 0] + 512 * codes[:, 1], index)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), bits=st.sampled_from([4, 9, 14, 18, 13, 20]))
def test_bits_become_codes_and_codes_the_same_bits(seed: int, bits: int) -> None:
    shapes = {name: torch.Size(s) for name, s in magvit2_shapes((32,), bits, 1).items()}
    with torch.device("meta"):
        model = OpenMAGVIT2(shapes)
    latents = torch.randn(2, bits, 3, 2, generator=torch.Generator().manual_seed(seed))
    latents[0, 0] = 0.0  # as MAGVIT-v2 has it, no positive channel
    codes = model.codes(latents)
    signs = model.look_up(codes)
    assert torch.equal(signs, torch.where(latents > 0, 1.0, -1.0))
    assert torch.equal(model.codes(signs), codes)
    assert int(codes.max()) < 2**model.bits <= 512
    assert model.groups * model.bits == bits


PUBLISHED = {  # channels, bits, stride, bytes of an image of 256 px
    "256 px, 18 bits": ((128, 128, 256, 256, 512), 18, 16, 576),
    "128 px, 18 bits": ((128, 256, 256, 512), 18, 8, 2304),
    "pretrained, 14 bits": ((128, 128, 256, 256, 512), 14, 16, 448),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configurations_are_read_from_names_and_shapes(name: str) -> None:
    channels, bits, stride, size = PUBLISHED[name]
    shapes = {key: torch.Size(s) for key, s in magvit2_shapes(channels, bits, 4).items()}
    with torch.device("meta"):
        model = OpenMAGVIT2(shapes)
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == shapes
    assert model.stride == stride
    assert model_of(shapes) == "Open-MAGVIT2"
    side = 256 // stride
    context = FormatContext(256, 10, 2**model.bits, (model.groups, side, side), "0" * 16)
    assert build_format("tokens", context).fixed_length == size


def test_the_learner_sees_the_signs_and_has_a_row_for_each_half_of_a_code_and_a_missing_one() -> (
    None
):
    tokenizer = magvit2_f4()
    augment = TokenAugment(tokenizer.codebook, tokenizer.combine, crop=6)
    tokens = tokenizer.encode(images(2, 24))
    assert torch.equal(augment(tokens), tokenizer.model.look_up(tokens.long()))
    assert tokenizer.codebook.shape == (2, 512, 9)
    assert augment.synonyms.shape == (2 * 512 + 1, 5 + 1)


def test_a_lightning_checkpoint_is_opened_with_its_moving_averages(tmp_path: Path) -> None:
    made = magvit2_f4()
    state = {name: tensor + 1 for name, tensor in made.state.items()}
    for name, tensor in made.state.items():
        state["model_ema." + name.replace(".", "")] = tensor
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    opened = open_tokenizer(f"open-magvit2:{tmp_path}/last.ckpt")
    assert opened.identity == made.identity
    assert opened.card == {"weights": "moving averages"}


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(magvit2_f4().state)))
def test_every_missing_tensor_is_named(name: str) -> None:
    state = {other: tensor for other, tensor in magvit2_f4().state.items() if other != name}
    with pytest.raises(UserError, match=r"file\.ckpt: ") as refused:
        from_state("file.ckpt", state)
    assert name in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_left_over_tensors_are_named() -> None:
    state = {**magvit2_f4().state, "encoder.conv_in.bias": torch.ones(32)}
    with pytest.raises(UserError, match=r"left over encoder\.conv_in\.bias"):
        from_state("x", state)


def test_a_single_position_is_refused_with_a_side_that_fits() -> None:
    with pytest.raises(UserError, match=r"4 x 4 px.*--resolution 8"):
        magvit2_f4().encode(images(1, 4))


def test_a_saved_tokenizer_opens_by_its_path_alone(tmp_path: Path) -> None:
    made = from_state("random weights", random_state(magvit2_shapes((32, 32), 14, 1)))
    made.save(tmp_path / "magvit2.safetensors")
    opened = open_tokenizer(str(tmp_path / "magvit2.safetensors"))
    assert (opened.identity, opened.stride) == (made.identity, 2)
    assert torch.equal(opened.encode(images(1, 8)), made.encode(images(1, 8)))
