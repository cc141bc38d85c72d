"""Groups of runs: their order, budgets that bind, and trials of a sweep."""

import math

import pytest

from helpers.synthetic_runs import write_run
from seit_cl.reporting.grouping import (
    Series,
    at_all_budgets,
    budget_binds,
    budget_of,
    in_order,
    mean_std,
    settings_of,
    sorted_series,
    without_options,
    without_sweep_trials,
)
from seit_cl.reporting.pairs import differences
from seit_cl.results.run_files import read_runs


def test_tokens_come_first_and_numbers_by_their_value():
    formats = ("jpeg:quality=75", "jpeg:quality=5", "raw", "tokens:coder=table", "jpeg:quality=10")
    ordered = in_order([Series(name, "pixels") for name in formats])
    assert [series.format for series in ordered] == [
        "tokens:coder=table",
        "jpeg:quality=5",
        "jpeg:quality=10",
        "jpeg:quality=75",
        "raw",
    ]


def test_series_of_one_kind_of_format_differ_by_its_options_alone():
    assert without_options(Series("jpeg:quality=5", "pixels", "epochs=5")) == Series(
        "jpeg", "pixels", "epochs=5"
    )


@pytest.mark.parametrize(
    ("memory", "bound"), [(100_000, True), (1_300_000, False), (5_000_000, False)]
)
def test_older_results_tell_by_their_free_bytes_that_a_budget_binds(tmp_path, memory, bound):
    write_run(tmp_path, memory=memory)  # 4,000 samples of 325 bytes are 1.3 MB
    (run,) = read_runs(tmp_path)
    nearly_full = memory - run.metadata["used_bytes"] < 0.02 * memory
    assert budget_binds(run) == (bound or nearly_full)


def test_what_the_memory_recorded_goes_before_the_guess(tmp_path):
    write_run(tmp_path, memory=100_000, memory_full=False)
    write_run(tmp_path, memory=5_000_000, memory_full=True)
    runs = sorted(read_runs(tmp_path), key=budget_of)
    assert [budget_binds(run) for run in runs] == [False, True]


def test_a_memory_that_is_not_full_stands_for_larger_ones_of_its_series_and_seed(tmp_path):
    for seed in (0, 1):
        for memory in (500_000, 2_000_000):  # 4,000 samples of 325 bytes are 1.3 MB
            write_run(tmp_path, memory=memory, seed=seed)
        write_run(tmp_path, spec="jpeg:quality=75,size=64", memory=8_000_000, seed=seed)
    runs = read_runs(tmp_path)
    tokens = [run for run in runs if run.get("format") == "tokens"]
    not_full = [run.run_id for run in tokens if budget_of(run) == 2_000_000]
    extended = at_all_budgets(runs)
    copies = [
        run.run_id
        for run in extended
        if run.get("format") == "tokens" and budget_of(run) == 8_000_000
    ]
    assert copies == not_full
    assert len(extended) == len(runs) + 2  # a full memory of 0.5 MB stands for nothing else
    tokens_series, jpeg_series = sorted_series(runs)
    by_budget = differences(extended, settings_of(runs)[0], tokens_series, jpeg_series)
    assert {budget: difference.pairs for budget, difference in by_budget.items()} == {8_000_000: 2}


def test_trials_of_a_sweep_are_left_out_where_the_best_option_has_more_seeds(tmp_path):
    best = "jpeg:quality=5,size=64"
    trial = "jpeg:quality=25,size=64"
    for seed in (0, 1, 2):
        for memory in (100_000, 500_000):
            write_run(tmp_path, memory=memory, seed=seed)
        write_run(tmp_path, spec=best, memory=100_000, seed=seed)
    left_out = write_run(tmp_path, spec=trial, memory=100_000)
    alone = write_run(tmp_path, spec=trial, memory=2_000_000)  # no other option has more seeds
    runs = read_runs(tmp_path)
    remaining = {run.run_id for run in without_sweep_trials(runs)}
    assert {run.run_id for run in runs} - remaining == {left_out.name}
    assert alone.name in remaining


def test_mean_and_standard_deviation_leave_out_nan():
    assert mean_std([1.0, 3.0, math.nan]) == (2.0, pytest.approx(math.sqrt(2)))
    assert mean_std([5.0]) == (5.0, 0.0)
    assert all(math.isnan(value) for value in mean_std([]))
