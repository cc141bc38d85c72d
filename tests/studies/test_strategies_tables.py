"""The tables of docs/strategies.md are those that the published runs give."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from studies import strategies

PAGE = Path(__file__).resolve().parents[2] / "docs" / "strategies.md"
TABLES = [strategies.replay_table, strategies.bounds_table, strategies.fill_table]


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return strategies.read_published(strategies.PUBLISHED)


@pytest.mark.parametrize("make", TABLES, ids=lambda make: make.__name__)
def test_the_page_has_the_table_of_the_published_runs(
    make: Callable[[pd.DataFrame], str], runs: pd.DataFrame
) -> None:
    assert make(runs) in PAGE.read_text()


def test_every_mean_is_of_the_same_five_seeds(runs: pd.DataFrame) -> None:
    counts = runs.groupby(["strategy", "kind", "fill", "format"]).seed.apply(sorted)
    assert all(seeds == [0, 1, 2, 3, 4] for seeds in counts)


def test_an_interval_needs_three_runs() -> None:
    assert strategies.interval([1.0, 2.0]) == "1.5"
    assert strategies.interval([1.0, 2.0, 3.0], "+") == "+2.0 ± 2.5"


def test_a_difference_is_of_runs_of_one_seed() -> None:
    first = pd.Series([3.0, 5.0, 9.0], index=[0, 1, 2])
    second = pd.Series([1.0, 3.0, 7.0, 100.0], index=[0, 1, 2, 3])
    assert strategies.difference(first, second) == "+2.0 ± 0.0"


def test_the_figure_is_a_png_file(runs: pd.DataFrame) -> None:
    assert strategies.draw(runs).startswith(b"\x89PNG")
