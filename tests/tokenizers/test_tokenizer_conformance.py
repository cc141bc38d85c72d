"""What every tokenizer that ships or is loaded from a file must do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_samples import SHIPPED, images

from seit_cl.errors import UserError
from seit_cl.tokenizers.bundled import BundledTokenizer


@pytest.fixture(params=sorted(SHIPPED))
def tokenizer(request: pytest.FixtureRequest) -> BundledTokenizer:
    return SHIPPED[request.param]()


def test_the_codebook_is_float32_unit_vectors(tokenizer: BundledTokenizer) -> None:
    groups, codes, dim = tokenizer.codebook.shape
    assert groups == 1 and codes > 1 and dim > 1
    assert tokenizer.codebook.dtype == torch.float32
    assert torch.allclose(tokenizer.codebook.norm(dim=-1), torch.ones(1, codes), atol=1e-5)


def test_the_stride_is_the_pixels_of_one_token(tokenizer: BundledTokenizer) -> None:
    assert tokenizer.encode(images(1, 64)).shape[-1] * tokenizer.stride == 64
    assert tokenizer.combine in ("sum", "concat")


def test_codes_are_int16_grids_within_the_codebook(tokenizer: BundledTokenizer) -> None:
    tokens = tokenizer.encode(images(3, 64))
    assert tokens.shape == (3, 1, 8, 8) and tokens.dtype == torch.int16
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < tokenizer.codebook.shape[1]


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(SHIPPED)), side=st.integers(4, 16), count=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_batch_is_its_images_one_by_one(name: str, side: int, count: int, seed: int) -> None:
    tokenizer, batch = SHIPPED[name](), images(count, 8 * side, seed)
    assert torch.equal(tokenizer.encode(batch), torch.cat([tokenizer.encode(image[None]) for image in batch]))


def test_a_batch_beyond_the_working_chunk_is_encoded_whole(tokenizer: BundledTokenizer) -> None:
    batch = images(18, 256)  # 16 at a time
    assert torch.equal(tokenizer.encode(batch)[[0, 17]], tokenizer.encode(batch[[0, 17]]))


def test_no_images_are_no_tokens(tokenizer: BundledTokenizer) -> None:
    tokens = tokenizer.encode(images(1, 64)[:0])
    assert tokens.shape == (0, 1, 8, 8) and tokens.dtype == torch.int16


@pytest.mark.parametrize("side", range(32, 257, 32))
def test_every_side_that_the_stride_divides_comes_back(tokenizer: BundledTokenizer, side: int) -> None:
    restored = tokenizer.decode(tokenizer.encode(images(1, side)))
    assert restored.shape == (1, 3, side, side) and restored.dtype == torch.uint8


@pytest.mark.parametrize(("height", "width"), [(60, 60), (33, 33), (4, 4), (64, 32), (63, 64), (0, 0)])
def test_other_shapes_are_refused_with_a_side_that_fits(tokenizer: BundledTokenizer, height: int, width: int) -> None:
    with pytest.raises(UserError, match=f"{height} x {width} px.*--resolution [1-9]") as refused:
        tokenizer.encode(torch.zeros(1, 3, height, width, dtype=torch.uint8))
    assert int(str(refused.value).split()[-1]) % tokenizer.stride == 0


def test_autocast_changes_neither_codes_nor_images(tokenizer: BundledTokenizer) -> None:
    batch = images(8, 64)
    tokens = tokenizer.encode(batch)
    with torch.autocast("cpu", torch.bfloat16):
        inside = tokenizer.encode(batch)
        restored = tokenizer.decode(tokens)
    assert torch.equal(inside, tokens) and torch.equal(restored, tokenizer.decode(tokens))


def test_encoding_and_decoding_draw_no_random_numbers(tokenizer: BundledTokenizer) -> None:
    before = torch.get_rng_state()
    tokenizer.decode(tokenizer.encode(images(2, 32)))
    assert torch.equal(torch.get_rng_state(), before)


def test_codec_bytes_are_those_of_weights_and_codebook(tokenizer: BundledTokenizer) -> None:
    assert tokenizer.codec_bytes == 4 * sum(tensor.numel() for tensor in tokenizer.model.state_dict().values())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_codes_of_the_cpu_and_leaves_tf32_as_it_was(tokenizer: BundledTokenizer) -> None:
    batch, before = images(64, 64), torch.backends.cudnn.allow_tf32
    there = BundledTokenizer(tokenizer.model, tokenizer.card)  # shares weights: moved back below
    try:
        codes = there.to("cuda").encode(batch.cuda())
        assert codes.is_cuda and torch.backends.cudnn.allow_tf32 == before
    finally:
        there.to("cpu")
    assert (codes.cpu() != tokenizer.encode(batch)).float().mean() < 1e-3
