"""Tokenizers of the bundled kind, beyond every tokenizer's contract."""

import pytest
import torch
from torch import Tensor

from helpers.tokenizer_samples import bundled, from_file, images, residual, unsupervised
from seit_cl.tokenizers import bundled_unsupervised
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer

SHIPPED = {
    "bundled": bundled,
    "bundled:file": from_file,
    "bundled:levels": residual,
    "bundled_unsupervised": unsupervised,
}


@pytest.fixture(params=sorted(SHIPPED))
def tokenizer(request: pytest.FixtureRequest) -> VQAETokenizer:
    return SHIPPED[request.param]()


def test_the_first_codebook_is_float32_unit_vectors(tokenizer: VQAETokenizer) -> None:
    groups, codes, dim = tokenizer.codebook.shape
    assert groups == tokenizer.model.levels
    assert codes > 1
    assert dim > 1
    assert tokenizer.codebook.dtype == torch.float32
    assert torch.allclose(tokenizer.codebook[0].norm(dim=-1), torch.ones(codes), atol=1e-5)


def test_codec_bytes_are_half_precision_weights_and_the_codebook(
    tokenizer: VQAETokenizer,
) -> None:
    numbers = sum(tensor.numel() for tensor in tokenizer.model.state_dict().values())
    assert tokenizer.codec_bytes == 2 * numbers + 2 * tokenizer.codebook.numel()


def mirror_tokens(tokenizer: VQAETokenizer, tokens: Tensor) -> Tensor:
    """Turn the tokens (B, G, H, W) of images into those of their mirror images."""
    assert tokenizer.mirror is not None
    groups = torch.arange(tokens.shape[1])[:, None, None]
    return tokenizer.mirror[groups, tokens.long()].flip(-1)


@pytest.mark.parametrize("side", [32, 64, 200])
def test_mirroring_tokens_is_mirroring_the_image(tokenizer: VQAETokenizer, side: int) -> None:
    batch = images(8, side)
    tokens = tokenizer.encode(batch)
    same = mirror_tokens(tokenizer, tokens) == tokenizer.encode(batch.flip(-1))
    assert same.float().mean() > 0.98  # all but those nearly as near to a code as to its partner
    restored = tokenizer.decode(mirror_tokens(tokenizer, tokens).short()).int()
    assert (restored - tokenizer.decode(tokens).flip(-1).int()).abs().max() <= 1  # rounding


def test_mirroring_twice_gives_the_tokens_back(tokenizer: VQAETokenizer) -> None:
    tokens = tokenizer.encode(images(4, 64))
    assert torch.equal(mirror_tokens(tokenizer, mirror_tokens(tokenizer, tokens)), tokens.long())


@pytest.mark.parametrize("level", [0, 97, 255])
def test_a_blank_image_has_the_same_codes_alone_and_in_a_batch(
    tokenizer: VQAETokenizer, level: int
) -> None:
    blank = torch.full((1, 3, 64, 64), level, dtype=torch.uint8)
    batch = torch.cat([images(5, 64), blank])
    assert torch.equal(tokenizer.encode(batch)[5:], tokenizer.encode(blank))


def test_a_batch_beyond_the_working_chunk_is_encoded_whole(tokenizer: VQAETokenizer) -> None:
    batch = images(6, 256)  # 4 at a time
    assert torch.equal(tokenizer.encode(batch)[[0, 5]], tokenizer.encode(batch[[0, 5]]))


@pytest.mark.parametrize("side", [*range(32, 257, 32), 384, 512])
def test_every_side_that_the_stride_divides_comes_back(tokenizer: VQAETokenizer, side: int) -> None:
    restored = tokenizer.decode(tokenizer.encode(images(1, side)))
    assert restored.shape == (1, 3, side, side)
    assert restored.dtype == torch.uint8


def test_the_tokenizer_without_labels_was_trained_on_features_of_a_teacher() -> None:
    card = unsupervised().card
    assert "--targets features" in card["command"]
    assert card["note"].startswith("No label was used.")
    assert bundled_unsupervised.WEIGHTS.stat().st_size < 4_000_000
