"""Cells of the studies' tables: means with intervals, and differences of runs of one seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seit_cl import run_experiment
from seit_cl.data.fractals import write_fractals
from studies import results
from studies.plan import SHARED, of_seed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two arms at one budget; the second arm lacks a seed of the first."""
    root = tmp_path_factory.mktemp("study")
    data = write_fractals(root / "data", 5, 4, 2, 64)
    shared = replace(SHARED, data_root=data, epochs=1, memory_mb=0.01)
    for strategy, seed in (("er", 0), ("er", 1), ("er_ace", 1)):
        config = replace(of_seed(shared, seed), strategy=strategy)
        run_experiment(config, root / strategy / "0.01MB")
    return root


def test_runs_are_read_by_budget_and_seed(folder: Path) -> None:
    group = results.read_group(folder / "er")
    assert sorted(group) == [(0.01, 0), (0.01, 1)]
    assert results.budgets_of([group, {}]) == [0.01]
    assert results.at_budget(group, 0.01) == [group[0.01, 0], group[0.01, 1]]
    assert results.at_budget(group, 0.02) == []


def test_a_folder_without_runs_has_an_empty_group(folder: Path) -> None:
    assert results.read_group(folder / "none") == {}


def test_differences_are_of_runs_with_one_seed_and_class_order(folder: Path) -> None:
    first, second = (results.read_group(folder / name) for name in ("er", "er_ace"))
    pairs = results.paired(first, second, 0.01)
    assert pairs == [(first[0.01, 1], second[0.01, 1])]
    gap = results.final(first[0.01, 1]) - results.final(second[0.01, 1])
    assert results.difference_cells(pairs)[0] == f"{gap:+.1f}"
    orders = {result.run.config["class_order_seed"] for pair in pairs for result in pair}
    assert len(orders) == 1


def test_cells_of_no_runs_are_empty() -> None:
    assert results.accuracy_cells([]) == ["", ""]
    assert results.difference_cells([]) == ["", "", "0"]
    assert results.exemplars([]) == ""


def test_an_interval_is_that_of_students_t() -> None:
    assert results.interval([1.0, 2.0, 3.0], "+") == "+2.0 ± 2.5"
    assert results.interval([1.0]) == "1.0"
    assert results.interval([1.0, 2.0], fewest=3) == "1.5"
