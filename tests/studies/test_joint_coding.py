"""Joint coding of exemplars: ideal code lengths after counts, and without an order."""

import math
from pathlib import Path

import pytest
import torch

from seit_cl.tokenizers import open_tokenizer
from studies.joint_coding import (
    Options,
    adapted_bits,
    first_of_each,
    measure,
    order_bits,
    probabilities,
)


def test_codes_that_come_again_get_shorter_and_others_longer() -> None:
    alone = torch.full((3, 2), 0.25, dtype=torch.float64)
    codes = torch.tensor([[0, 0], [0, 0], [3, 3]])
    bits = adapted_bits(alone, codes, [0, 0, 0], [1.0], 4)
    expected = [0.25, 0.25, 2.25 / 3, 2.25 / 3, 0.25 / 5, 0.25 / 5]
    assert float(bits[0]) == pytest.approx(-sum(math.log2(p) for p in expected) / 6)


def test_groups_do_not_learn_from_one_another_and_a_large_weight_learns_nothing() -> None:
    alone = torch.full((2, 2), 0.25, dtype=torch.float64)
    codes = torch.tensor([[0, 1], [0, 1]])
    apart = adapted_bits(alone, codes, [0, 1], [1.0], 4)
    together = adapted_bits(alone, codes, [0, 0], [1.0, 1e12], 4)
    assert float(apart[0]) == pytest.approx(2.0)
    assert float(together[0]) < 2.0
    assert float(together[1]) == pytest.approx(2.0)


def test_the_order_of_exemplars_takes_the_logarithm_of_their_permutations() -> None:
    assert order_bits(1) == 0
    assert order_bits(4) == pytest.approx(math.log2(24) / 4)


def test_exemplars_are_the_first_of_every_class_in_rounds() -> None:
    assert first_of_each([0, 0, 1, 0, 1, 2], 2) == [0, 2, 5, 1, 4]


def test_probabilities_are_those_that_the_coders_code_with() -> None:
    model = open_tokenizer("bundled").entropy_model()
    grids = torch.randint(1024, (6, 8, 8), generator=torch.Generator().manual_seed(0))
    found = probabilities(model, torch.full((1024,), 1 / 1024, dtype=torch.float64), grids)
    assert set(found) == {"fixed", "order-0", "table", "context", "compact"}
    assert torch.equal(found["fixed"], found["order-0"])
    for values in found.values():
        assert values.shape == (6, 64)
        assert bool(((values > 0) & (values < 1)).all())


def test_the_study_has_a_row_for_every_coder_and_number_of_exemplars(fractals: Path) -> None:
    rows = measure(Options(fractals, fractals, exemplars=(2, 3)))
    assert len(rows) == 2 * 5
    assert rows[0][:3] == ["fixed", rows[0][1], "10.000"]
