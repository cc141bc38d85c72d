"""Records that can be cut to their first levels (LevelledFormat)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats._records import Records
from seit_cl.formats.base import LevelledFormat
from seit_cl.formats.tokens import TokensFormat


class Grids:
    """The samples of token grids (N, G, H, W)."""

    def __init__(self, grids: torch.Tensor) -> None:
        self.grids = grids

    def tokens(self, ids: torch.Tensor) -> torch.Tensor:
        return self.grids[ids]


def tokens_format(codes: int, grid: tuple[int, int, int]) -> TokensFormat:
    fmt = build_format("tokens", FormatContext(16, 5, codes, grid, "test"))
    assert isinstance(fmt, TokensFormat)
    return fmt


@settings(deadline=None, max_examples=40)
@given(
    codes=st.integers(2, 2000),
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 2**31),
)
def test_a_cut_record_is_that_of_the_first_levels(
    codes: int, grid: tuple[int, int, int], seed: int
) -> None:
    fmt = tokens_format(codes, grid)
    assert isinstance(fmt, LevelledFormat)
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randint(codes, (6, *grid), generator=generator).to(torch.int16)
    source = Grids(whole)
    labels = torch.zeros(6, dtype=torch.int64)
    records = fmt.encode(Samples(torch.arange(6), labels, source)).to_bytes()
    cut = []
    expected = whole.clone()
    for index, content in enumerate(records):
        record = np.frombuffer(content, np.uint8)
        ends = fmt.level_ends(record)
        assert len(ends) == fmt.levels
        assert list(ends) == sorted(set(ends))
        assert ends[-1] == len(record)
        levels = 1 + index % fmt.levels
        shorter = fmt.cut(record, levels)
        assert fmt.level_ends(shorter) == ends[:levels]
        if fmt.levels > 1:
            expected[index, levels:] = -1
            first = tokens_format(codes, (levels, *grid[1:]))
            of_first = Grids(whole[:, :levels])
            own = Samples(torch.tensor([index]), labels[:1], of_first)
            assert shorter.tobytes() == first.encode(own).to_bytes()[0]
        cut.append(shorter.tobytes())
    assert torch.equal(fmt.decode(Records.from_bytes(cut)), expected)


def test_cutting_twice_is_cutting_once() -> None:
    fmt = tokens_format(32, (3, 3, 3))
    record = np.random.default_rng(0).integers(256, size=17).astype(np.uint8)
    assert np.array_equal(fmt.cut(fmt.cut(record, 2), 1), fmt.cut(record, 1))


@pytest.mark.parametrize("length", [0, 5, 7, 16, 18])
def test_a_length_that_no_record_has_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="are possible"):
        tokens_format(32, (3, 3, 3)).level_ends(np.zeros(length, np.uint8))


def test_levels_of_less_than_a_byte_cannot_be_cut() -> None:
    assert tokens_format(2, (4, 1, 2)).levels == 1
