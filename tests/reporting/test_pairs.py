"""Differences over pairs of runs."""

import pytest

from helpers.synthetic_runs import write_grid, write_run
from seit_cl.reporting.grouping import settings_of, sorted_series, with_memory
from seit_cl.reporting.pairs import differences
from seit_cl.results.intervals import INDISTINCT
from seit_cl.results.run_files import read_runs
from seit_cl.results.summary import rebuild_summary

IMAGES = 600  # of 15 classes
STUDENT_T = 12.706  # of 95 % and one degree of freedom


def test_differences_are_paired_by_seed_and_budget(tmp_path):
    write_grid(tmp_path)
    write_run(tmp_path, seed=7, finish=False)
    runs = with_memory(read_runs(tmp_path))
    (setting,) = settings_of(runs)
    tokens, jpeg = sorted_series(runs)
    by_budget = differences(runs, setting, tokens, jpeg)
    assert list(by_budget) == [100_000, 500_000, 2_000_000]
    df = rebuild_summary(tmp_path).set_index(["format", "memory_bytes", "seed"])
    final = 100 * df["final_accuracy"].astype(float)
    for budget, difference in by_budget.items():
        first, second = (
            final[tokens.format, budget, seed] - final[jpeg.format, budget, seed] for seed in (0, 1)
        )
        half = max(STUDENT_T * abs(first - second) / 2, 100 * INDISTINCT / IMAGES)
        assert difference.pairs == 2
        assert difference.points == pytest.approx((first + second) / 2)
        assert difference.half == pytest.approx(half, rel=1e-3)
