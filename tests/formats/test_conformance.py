"""What every registered format must do, built-in or plugged in."""

import pytest
import torch
from random_samples import CONTEXT, samples

from seit_cl import plugins
from seit_cl.errors import UserError
from seit_cl.formats import build_format, parse_spec

pytestmark = pytest.mark.parametrize("name", sorted(plugins.names("format")))


def test_decode_gives_the_domain_shape_and_type(name):
    fmt = build_format(name, CONTEXT)
    decoded = fmt.decode(fmt.encode(samples(5)))
    shapes = {"tokens": (5, *CONTEXT.grid), "pixels": (5, 3, CONTEXT.resolution, CONTEXT.resolution)}
    assert tuple(decoded.shape) == shapes[fmt.domain]
    assert decoded.dtype == {"tokens": torch.int16, "pixels": torch.uint8}[fmt.domain]


def test_canonical_spec_rebuilds_the_format(name):
    fmt = build_format(name, CONTEXT)
    again = build_format(fmt.spec, CONTEXT)
    again.side_info = fmt.side_info
    records = fmt.encode(samples(5))
    assert again.spec == fmt.spec and parse_spec(fmt.spec)[0] == name
    assert torch.equal(again.decode(records), fmt.decode(records))


def test_lengths_are_as_declared(name):
    fmt = build_format(name, CONTEXT)
    records = fmt.encode(samples(7))
    assert len(records) == 7 and int(records.lengths.sum()) == len(records.data)
    if fmt.fixed_length is not None:
        assert set(records.lengths.tolist()) == {fmt.fixed_length}


def test_records_do_not_depend_on_their_batch(name):
    fmt = build_format(name, CONTEXT)
    whole = fmt.encode(samples(6)).to_bytes()
    parts = [fmt.encode(samples(6)[i : i + 1]).to_bytes()[0] for i in range(6)]
    assert whole == parts


def test_any_selection_of_records_decodes(name):
    fmt = build_format(name, CONTEXT)
    records = fmt.encode(samples(6))
    chosen = torch.tensor([5, 0, 0, 3])
    part = type(records)(records.data, records.offsets[chosen], records.lengths[chosen])
    assert torch.equal(fmt.decode(part), fmt.decode(records)[chosen])


def test_an_empty_batch_decodes_to_nothing(name):
    fmt = build_format(name, CONTEXT)
    records = fmt.encode(samples(1))
    empty = type(records)(records.data[:0], records.offsets[:0], records.lengths[:0])
    assert len(fmt.decode(empty)) == 0


def test_an_unknown_option_is_named(name):
    with pytest.raises(UserError, match="qualitty"):
        build_format(f"{name}:qualitty=3", CONTEXT)
