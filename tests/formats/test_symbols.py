"""Integers in messages: every integer comes back, in the bytes of its probability."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.learned_weights import tables
from seit_cl.formats._symbols import LARGEST, SymbolTables
from seit_cl.formats.entropy import range_coder

SCALES = torch.tensor([0.2, 1.0, 5.0])


def symbol_tables() -> SymbolTables:
    return SymbolTables(*tables("x", SCALES).values())


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(-12, 12), st.integers(-LARGEST, LARGEST)), st.integers(0, 2)
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_integer_comes_back_within_its_table_or_outside(pairs):
    coder = symbol_tables()
    values = torch.tensor([value for value, _ in pairs])
    rows = torch.tensor([row for _, row in pairs])
    starts, widths = coder.intervals(values, rows)
    decoder = range_coder.Decoder(range_coder.encode(starts[None], widths[None]))
    symbols = coder.read(decoder, rows[None])
    assert torch.equal(coder.values_at_end(decoder, symbols, rows[None])[0], values)


def test_integers_outside_of_a_table_take_three_bytes_more():
    coder = symbol_tables()
    rows = torch.zeros(2, dtype=torch.int64)
    inside, _ = coder.intervals(torch.tensor([0, 1]), rows)
    outside, _ = coder.intervals(torch.tensor([0, 1000]), rows)
    assert (len(inside), len(outside)) == (2, 5)


def test_clamped_integers_are_within_their_tables():
    coder = symbol_tables()
    rows = torch.tensor([0, 1, 2])
    clamped = coder.clamp(torch.tensor([-500, 500, 2]), rows)
    assert len(coder.intervals(clamped, rows)[0]) == 3
    assert clamped[2] == 2


@pytest.mark.parametrize(
    ("part", "place", "value"),
    [("_quantized_cdf", (0, 1), 70000), ("_quantized_cdf", (0, 0), 1), ("_cdf_length", (0,), 99)],
)
def test_tables_that_do_not_rise_to_the_total_are_refused(part, place, value):
    made = tables("x", SCALES)
    made[f"x.{part}"][place] = value
    with pytest.raises(ValueError, match="tables"):
        SymbolTables(*made.values())
