"""Scores of the positions of a token grid."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.generators import generator
from seit_cl.data.patches import rarity


@settings(deadline=None, max_examples=50)
@given(
    codes=st.integers(1, 60),
    shape=st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 2**31),
)
def test_rarity_counts_the_positions_with_another_first_code(
    codes: int, shape: tuple[int, int, int, int], seed: int
) -> None:
    tokens = torch.randint(-1, codes, shape, generator=generator(seed))  # -1: a missing code
    scores = rarity(tokens)
    assert scores.shape == (shape[0], *shape[2:])
    for grid, score in zip(tokens[:, 0].flatten(1), scores.flatten(1), strict=True):
        assert score.tolist() == [int((grid != code).sum()) for code in grid]
