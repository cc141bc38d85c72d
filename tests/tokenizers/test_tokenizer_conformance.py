"""What every tokenizer that ships or is loaded from a file must do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_samples import SHIPPED, images
from torch import Tensor

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
    batch = images(6, 256)  # 4 at a time
    assert torch.equal(tokenizer.encode(batch)[[0, 5]], tokenizer.encode(batch[[0, 5]]))


def test_no_images_are_no_tokens(tokenizer: BundledTokenizer) -> None:
    tokens = tokenizer.encode(images(1, 64)[:0])
    assert tokens.shape == (0, 1, 8, 8) and tokens.dtype == torch.int16


@pytest.mark.parametrize("side", [*range(32, 257, 32), 384, 512])
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


def test_codec_bytes_are_half_precision_weights_and_the_codebook(tokenizer: BundledTokenizer) -> None:
    numbers = sum(tensor.numel() for tensor in tokenizer.model.state_dict().values())
    assert tokenizer.codec_bytes == 2 * numbers + 2 * tokenizer.codebook.numel()


def mirror_tokens(tokenizer: BundledTokenizer, tokens: Tensor) -> Tensor:
    """Tokens (B, G, H, W) of the mirror images of the images that these are of."""
    assert tokenizer.mirror is not None
    groups = torch.arange(tokens.shape[1])[:, None, None]
    return tokenizer.mirror[groups, tokens.long()].flip(-1)


@pytest.mark.parametrize("side", [32, 64, 200])
def test_mirroring_tokens_is_mirroring_the_image(tokenizer: BundledTokenizer, side: int) -> None:
    batch = images(8, side)
    tokens = tokenizer.encode(batch)
    same = mirror_tokens(tokenizer, tokens) == tokenizer.encode(batch.flip(-1))
    assert same.float().mean() > 0.98  # all but those nearly as near to a code as to its partner
    restored = tokenizer.decode(mirror_tokens(tokenizer, tokens).short()).int()
    assert (restored - tokenizer.decode(tokens).flip(-1).int()).abs().max() <= 1  # rounding


def test_mirroring_twice_gives_the_tokens_back(tokenizer: BundledTokenizer) -> None:
    tokens = tokenizer.encode(images(4, 64))
    assert torch.equal(mirror_tokens(tokenizer, mirror_tokens(tokenizer, tokens)), tokens.long())


@pytest.mark.parametrize("level", [0, 97, 255])
def test_a_blank_image_has_the_same_codes_alone_and_in_a_batch(tokenizer: BundledTokenizer, level: int) -> None:
    blank = torch.full((1, 3, 64, 64), level, dtype=torch.uint8)
    assert torch.equal(tokenizer.encode(torch.cat([images(5, 64), blank]))[5:], tokenizer.encode(blank))


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
