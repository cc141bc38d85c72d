"""Contract of every registered format, built-in or installed."""

import pytest
import torch

from helpers import format_specs, learned_weights, random_samples
from helpers.random_samples import CODED
from seit_cl.core.errors import UserError
from seit_cl.core.specs import Spec
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format, canonical_spec

PARTIAL = "tokens:keep=0.5,score=rarity"
SPECS = [*format_specs.SPECS, "tokens:coder=table", "tokens:coder=context", PARTIAL]
VARIES = ("auto", learned_weights.SPEC)  # fidelity is chosen, or that of random weights
LOSSLESS = {"raw", "png", "jpeg_original", "jxl_original"}
MIN_PSNR = 30  # dB, of every other format at its defaults on smooth images
pytestmark = pytest.mark.parametrize("spec", SPECS, ids=format_specs.name_of)


@pytest.fixture
def context(spec: str) -> FormatContext:
    return CODED if "coder" in spec else random_samples.CONTEXT


@pytest.fixture
def fmt(spec: str, context: FormatContext):
    return build_format(spec, context)


@pytest.fixture
def samples(context: FormatContext):
    def make(count: int) -> Samples:
        return random_samples.samples(count, context)

    return make


def test_decode_gives_the_domain_shape_and_type(fmt, context, samples):
    decoded = fmt.decode(fmt.encode(samples(5)))
    shapes = {
        "tokens": (5, *context.grid),
        "pixels": (5, 3, context.resolution, context.resolution),
    }
    assert tuple(decoded.shape) == shapes[fmt.domain]
    assert decoded.dtype == {"tokens": torch.int16, "pixels": torch.uint8}[fmt.domain]


def test_canonical_spec_rebuilds_the_format(spec, fmt, context, samples):
    again = build_format(fmt.spec, context)
    again.side_info = fmt.side_info
    records = fmt.encode(samples(5))
    assert again.spec == fmt.spec
    assert canonical_spec(fmt.spec).partition(":")[0] == Spec.parse(spec).key
    assert torch.equal(again.decode(records), fmt.decode(records))


def test_tokens_lose_nothing(spec, fmt, samples):
    if fmt.domain == "tokens" and spec != PARTIAL:
        assert torch.equal(fmt.decode(fmt.encode(samples(9))), samples(9).tokens())


def test_pixels_are_decoded_exactly_or_within_the_stated_fidelity(spec, fmt, samples):
    if fmt.domain == "pixels" and spec not in VARIES:
        pixels = samples(9).pixels().double()
        decoded = fmt.decode(fmt.encode(samples(9))).double()
        error = float((decoded - pixels).square().mean())
        assert error == 0 if spec in LOSSLESS else error < 255**2 / 10 ** (MIN_PSNR / 10)


def test_lengths_are_as_declared(fmt, samples):
    records = fmt.encode(samples(7))
    assert len(records) == 7
    assert int(records.lengths.sum()) == len(records.data)
    if fmt.fixed_length is not None:
        assert set(records.lengths.tolist()) == {fmt.fixed_length}
    assert fmt.codec_bytes >= 0


def test_records_do_not_depend_on_their_batch(fmt, samples):
    whole = fmt.encode(samples(6)).to_bytes()
    parts = [fmt.encode(samples(6)[i : i + 1]).to_bytes()[0] for i in range(6)]
    assert whole == parts


def test_any_selection_of_records_decodes(fmt, samples):
    records = fmt.encode(samples(6))
    chosen = torch.tensor([5, 0, 0, 3])
    part = type(records)(records.data, records.offsets[chosen], records.lengths[chosen])
    assert torch.equal(fmt.decode(part), fmt.decode(records)[chosen])


def test_an_empty_batch_decodes_to_nothing(fmt, samples):
    records = fmt.encode(samples(1))
    empty = type(records)(records.data[:0], records.offsets[:0], records.lengths[:0])
    assert len(fmt.decode(empty)) == 0


def test_an_unknown_option_is_named(spec, context):
    with pytest.raises(UserError, match="qualitty"):
        build_format(f"{Spec.parse(spec).key}:qualitty=3", context)
