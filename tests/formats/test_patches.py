"""Tokens that store some positions of a grid (tokens:keep=...)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seit_cl.core.errors import UserError
from seit_cl.data.patches import SCORES
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats._records import Records
from seit_cl.formats.base import LevelledFormat, PartialFormat
from seit_cl.formats.tokens import TokensFormat


class Grids:
    """The samples of token grids (N, G, H, W)."""

    def __init__(self, grids: torch.Tensor) -> None:
        self.grids = grids

    def tokens(self, ids: torch.Tensor) -> torch.Tensor:
        return self.grids[ids]


def partial_format(
    keep: float, score: str, codes: int = 50, grid: tuple[int, int, int] = (2, 4, 5)
) -> TokensFormat:
    context = FormatContext(16, 5, codes, grid, "test")
    fmt = build_format(f"tokens:keep={keep},score={score}", context)
    assert isinstance(fmt, TokensFormat)
    return fmt


def random_samples(codes: int, grid: tuple[int, int, int], count: int = 6, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    grids = torch.randint(codes, (count, *grid), generator=generator).to(torch.int16)
    ids = torch.arange(count)
    return Samples(ids, torch.zeros(count, dtype=torch.int64), Grids(grids))


@settings(deadline=None, max_examples=60)
@given(
    keep=st.floats(0.01, 0.99),
    score=st.sampled_from(SCORES),
    codes=st.integers(2, 2000),
    grid=st.tuples(st.integers(1, 3), st.integers(2, 6), st.integers(1, 6)),
    seed=st.integers(0, 2**31),
)
def test_kept_positions_come_back_from_the_record_and_the_others_are_missing(
    keep: float, score: str, codes: int, grid: tuple[int, int, int], seed: int
) -> None:
    fmt = partial_format(keep, score, codes, grid)
    samples = random_samples(codes, grid, seed=seed)
    tokens = samples.tokens()
    records = fmt.encode(samples)
    assert fmt.patches is not None
    is_kept = fmt.patches.mask(tokens)[:, None].expand_as(tokens)
    assert set(is_kept[:, 0].sum((1, 2)).tolist()) == {fmt.patches.count}
    expected = tokens.masked_fill(~is_kept, -1)
    decoded = fmt.decode(records)
    assert torch.equal(decoded, expected)
    assert set(records.lengths.tolist()) == {fmt.fixed_length}
    # The same choice is made of what is left, so that an exemplar loses nothing by it.
    assert torch.equal(fmt.patches.mask(decoded), is_kept[:, 0])


@pytest.mark.parametrize("score", SCORES)
def test_a_record_does_not_depend_on_its_batch(score: str) -> None:
    fmt = partial_format(0.4, score)
    samples = random_samples(50, (2, 4, 5))
    whole = fmt.encode(samples).to_bytes()
    for index, record in enumerate(whole):
        assert fmt.encode(samples[torch.tensor([index])]).to_bytes() == [record]
    assert fmt.decode(Records.from_bytes([])).shape == (0, 2, 4, 5)


@pytest.mark.parametrize("score", SCORES)
def test_records_are_cut_by_levels_and_keep_their_places(score: str) -> None:
    fmt = partial_format(0.5, score, grid=(3, 4, 4))
    assert isinstance(fmt, LevelledFormat)
    assert isinstance(fmt, PartialFormat)
    samples = random_samples(50, (3, 4, 4))
    whole = fmt.decode(fmt.encode(samples))
    cut = []
    for index, content in enumerate(fmt.encode(samples).to_bytes()):
        record = np.frombuffer(content, np.uint8)
        ends = fmt.level_ends(record)
        assert ends[-1] == len(record) == fmt.fixed_length
        levels = 1 + index % 3
        shorter = fmt.cut(record, levels)
        assert list(fmt.level_ends(shorter)) == list(ends[:levels])
        whole[index, levels:] = -1
        cut.append(shorter.tobytes())
    assert torch.equal(fmt.decode(Records.from_bytes(cut)), whole)


@pytest.mark.parametrize(
    ("score", "places"), [("rarity", 3), ("random", 3), ("centre", 0), ("even", 0)]
)
def test_places_take_a_bit_each_unless_all_grids_keep_the_same(score: str, places: int) -> None:
    fmt = partial_format(0.5, score)
    assert fmt.fixed_length == places + 15  # 2 x 10 codes of 6 bits, of 20 positions


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("rarity", [[0, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("centre", [[0, 1, 0], [0, 1, 0], [0, 0, 0]]),
        ("even", [[1, 0, 0], [0, 0, 0], [0, 0, 1]]),
    ],
)
def test_scores_are_what_they_say(score: str, expected: list[list[int]]) -> None:
    fmt = partial_format(2 / 9, score, grid=(1, 3, 3))
    tokens = torch.full((1, 1, 3, 3), 7)
    tokens[0, 0, 1, 1] = 8
    tokens[0, 0, 2, 2] = 9
    assert fmt.patches is not None
    assert fmt.patches.mask(tokens)[0].int().tolist() == expected


@pytest.mark.parametrize(
    ("spec", "grid", "message"),
    [
        ("tokens:keep=0.5,score=evn", (1, 4, 4), "did you mean 'even'"),
        ("tokens:keep=0.5,coder=table", (1, 4, 4), "whole grids alone"),
        ("tokens:keep=0.5", (1, 1, 16), "leave keep out"),
        ("tokens:keep=0", (1, 4, 4), "above 0"),
    ],
)
def test_what_cannot_be_kept_in_part_is_refused(
    spec: str, grid: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build_format(spec, FormatContext(16, 5, 50, grid, "test"))


def test_a_format_that_keeps_all_is_the_plain_one() -> None:
    context = FormatContext(16, 5, 50, (1, 4, 4), "test")
    assert build_format("tokens:keep=1,score=even", context).spec == "tokens"
