"""The tokens format: sizes, coders, and one line for what cannot be encoded."""

from dataclasses import replace

import pytest
import torch

from helpers.random_samples import CODED, CONTEXT, RandomSource, samples
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format


def test_a_256_px_image_at_stride_8_takes_1280_bytes():
    assert (
        build_format("tokens", FormatContext(256, 1000, 1024, (1, 32, 32), "t")).fixed_length
        == 1280
    )


@pytest.mark.parametrize("wrong", [-1, 1000])
def test_a_code_out_of_range_is_named(wrong):
    class Wrong(RandomSource):
        def tokens(self, ids):
            grids = super().tokens(ids)
            grids[0, 0, 0, 0] = wrong
            return grids

    with pytest.raises(UserError, match=f"code {wrong} "):
        build_format("tokens", CONTEXT).encode(
            Samples(torch.arange(2), torch.zeros(2, dtype=torch.int64), Wrong())
        )


def test_a_grid_of_another_shape_is_refused():
    other = FormatContext(32, 10, 1000, (1, 4, 4), "test")
    with pytest.raises(UserError, match="shape"):
        build_format("tokens", other).encode(samples(2))


def test_a_codebook_beyond_int16_is_refused():
    with pytest.raises(UserError, match="40000"):
        build_format("tokens", FormatContext(32, 10, 40000, (1, 4, 4), "test"))


@pytest.mark.parametrize(
    ("spec", "context", "words"),
    [
        ("tokens:coder=contxt", CONTEXT, "did you mean 'context'"),
        (
            "tokens:coder=table",
            replace(CODED, grid=(2, 4, 4)),
            "of other grids than 2 x 4 x 4",
        ),
        (
            "tokens:coder=context",
            FormatContext(32, 10, 1000, (1, 4, 4), "nobody's"),
            "tokenizer nobody's; fit them",
        ),
    ],
)
def test_a_coder_that_cannot_be_is_refused_in_one_line(spec, context, words):
    with pytest.raises(UserError, match=words):
        build_format(spec, context)


def test_the_plain_spec_is_that_of_fixed_lengths():
    assert (
        build_format("tokens:coder=fixed", CONTEXT).spec
        == build_format("tokens", CONTEXT).spec
        == "tokens"
    )
