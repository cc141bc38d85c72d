"""Drawn values lie in their ranges, depend on the seed alone, and go on where they ended."""

from typing import get_args

import pytest

from seit_cl.learner.search_space import Choices, LogUniform, SearchRange, Uniform
from seit_cl.tuning.options import Sampler
from seit_cl.tuning.sampling import Values, propose

RANGES: dict[str, SearchRange] = {
    "learning_rate": LogUniform(1e-4, 1e-2),
    "margin": Uniform(0.1, 0.9),
    "scale": Choices(8.0, 16.0, 32.0),
}
FIRST: list[tuple[Values, float]] = [({"learning_rate": 5e-4, "margin": 0.5, "scale": 16.0}, 0.0)]
every_sampler = pytest.mark.parametrize("sampler", get_args(Sampler))


@every_sampler
def test_values_lie_in_their_ranges_and_differ(sampler: Sampler) -> None:
    drawn = propose(RANGES, FIRST, 16, sampler, seed=3)
    for values in drawn:
        assert list(values) == list(RANGES)
        assert all(values[name] in within for name, within in RANGES.items())
    assert len({values["learning_rate"] for values in drawn}) == 16
    assert {values["scale"] for values in drawn} == {8.0, 16.0, 32.0}


@every_sampler
def test_the_seed_determines_the_values_and_more_of_them_begin_alike(sampler: Sampler) -> None:
    drawn = propose(RANGES, FIRST, 4, sampler, seed=3)
    assert propose(RANGES, FIRST, 8, sampler, seed=3)[:4] == drawn
    assert propose(RANGES, FIRST, 4, sampler, seed=4) != drawn


def test_a_quasi_random_sequence_has_a_rate_in_every_part_of_the_range() -> None:
    drawn = propose(RANGES, FIRST, 8, "qmc", seed=0)
    rates = sorted(values["learning_rate"] for values in drawn)
    for part, rate in enumerate(rates):  # an eighth of the two decades each
        assert 10 ** (-4 + part / 4) * 0.99 < rate < 10 ** (-4 + (part + 1) / 4) * 1.01


def test_tpe_alone_prefers_what_scored_well() -> None:
    ranges = {"learning_rate": RANGES["learning_rate"]}
    history = []
    for values in propose(ranges, [], 20, "random", seed=0):
        rate = values["learning_rate"]
        history.append(({"learning_rate": rate}, 1.0 if rate > 3e-3 else 0.0))
    drawn = propose(ranges, history, 8, "tpe", seed=0)
    high = [values for values in drawn if values["learning_rate"] > 3e-3]
    assert len(high) >= 5  # by chance, it would be two
    scoreless = [(values, 0.0) for values, _ in history]
    assert propose(ranges, history, 8, "qmc", 0) == propose(ranges, scoreless, 8, "qmc", 0)
