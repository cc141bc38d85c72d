"""The contract of a tokenizer, for every registered kind."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.tokenizer_samples import AVAILABLE, SAMPLES, images
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.token_shapes import is_sequence, token_shape
from seit_cl.tokenizers import Tokenizer


@pytest.fixture(params=sorted(SAMPLES))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return SAMPLES[request.param]()


def test_every_kind_is_tested_here() -> None:
    assert {name.partition(":")[0] for name in SAMPLES} == set(plugins.names("tokenizer"))


def test_the_codebook_is_finite_float32(tokenizer: Tokenizer) -> None:
    groups, codes, dim = tokenizer.codebook.shape
    assert groups >= 1
    assert codes > 1
    assert dim >= 1
    assert tokenizer.codebook.dtype == torch.float32
    assert bool(tokenizer.codebook.isfinite().all())
    assert tokenizer.combine in ("sum", "concat")


def test_the_stride_is_the_pixels_of_one_token_or_of_one_sequence(tokenizer: Tokenizer) -> None:
    side = 1 if is_sequence(tokenizer) else 4
    shape = (1, len(tokenizer.codebook), side, side * tokenizer.row)
    assert tokenizer.encode(images(1, side * tokenizer.stride)).shape == shape


def test_codes_are_int16_grids_within_the_codebook(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(images(3, 64))
    assert tokens.shape == (3, *token_shape(tokenizer, 64))
    assert tokens.dtype == torch.int16
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < tokenizer.codebook.shape[1]


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(AVAILABLE),
    side=st.integers(2, 8),
    count=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_a_batch_is_its_images_one_by_one(name: str, side: int, count: int, seed: int) -> None:
    tokenizer = SAMPLES[name]()
    if is_sequence(tokenizer):
        side = 1
    batch = images(count, tokenizer.stride * side, seed)
    one_by_one = [tokenizer.encode(image[None]) for image in batch]
    assert torch.equal(tokenizer.encode(batch), torch.cat(one_by_one))


def test_the_same_image_has_the_same_tokens_again(tokenizer: Tokenizer) -> None:
    assert torch.equal(tokenizer.encode(images(2, 64)), tokenizer.encode(images(2, 64)))


def test_no_images_are_no_tokens(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(images(1, 64)[:0])
    assert tokens.shape == (0, *tokenizer.encode(images(1, 64)).shape[1:])
    assert tokens.dtype == torch.int16


def test_decoding_gives_images_of_the_same_shape_or_is_refused(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(images(2, 64))
    if tokenizer.decodes:
        restored = tokenizer.decode(tokens)
        assert restored.shape == (2, 3, 64, 64)
        assert restored.dtype == torch.uint8
    else:
        with pytest.raises(UserError, match="does not decode to images"):
            tokenizer.decode(tokens)


@pytest.mark.parametrize("shape", [(1.5, 1.5), (1, 2), (0, 0), (2, 2.25)])
def test_other_shapes_are_refused_with_a_side_that_fits(
    tokenizer: Tokenizer, shape: tuple[float, float]
) -> None:
    height, width = (int(side * tokenizer.stride) for side in shape)
    with pytest.raises(UserError, match=f"{height} x {width} px.*--resolution [1-9]") as refused:
        tokenizer.encode(torch.zeros(1, 3, height, width, dtype=torch.uint8))
    assert int(str(refused.value).split()[-1]) % tokenizer.stride == 0


def test_autocast_changes_neither_codes_nor_images(tokenizer: Tokenizer) -> None:
    batch = images(8, 64)
    tokens = tokenizer.encode(batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(tokenizer.encode(batch), tokens)
        restored = tokenizer.decode(tokens) if tokenizer.decodes else None
    assert restored is None or torch.equal(restored, tokenizer.decode(tokens))


def test_encoding_and_decoding_draw_no_random_numbers(tokenizer: Tokenizer) -> None:
    before = torch.get_rng_state()
    tokens = tokenizer.encode(images(2, 64))
    if tokenizer.decodes:
        tokenizer.decode(tokens)
    assert torch.equal(torch.get_rng_state(), before)


def test_identity_and_bytes_are_given(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.identity) == 16
    assert int(tokenizer.identity, 16) >= 0
    assert tokenizer.codec_bytes >= tokenizer.codebook.numel() * 2


def test_a_mirror_swaps_codes(tokenizer: Tokenizer) -> None:
    if tokenizer.mirror is not None:
        twice = tokenizer.mirror.gather(1, tokenizer.mirror)
        assert torch.equal(twice, torch.arange(twice.shape[1]).expand_as(twice))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_codes_of_the_cpu_and_leaves_tf32_as_it_was(tokenizer: Tokenizer) -> None:
    batch = images(64, 64)
    before = torch.backends.cudnn.allow_tf32
    expected = tokenizer.encode(batch)
    try:
        codes = tokenizer.to("cuda").encode(batch.cuda())
        assert codes.is_cuda
        assert torch.backends.cudnn.allow_tf32 == before
    finally:
        tokenizer.to("cpu")
    assert (codes.cpu() != expected).float().mean() < 1e-3
