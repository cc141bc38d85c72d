"""Runs with and without a memory are put into the rows of a table together."""

from pathlib import Path

from helpers.synthetic_runs import write_run
from seit_cl.reporting.places import by_place
from seit_cl.results.run_files import read_runs


def test_replicates_share_a_row_and_budgets_of_a_setting_are_in_order(tmp_path: Path) -> None:
    for memory in (500_000, 100_000):
        for seed in (0, 1):
            write_run(tmp_path, memory=memory, seed=seed)
    rows = by_place(read_runs(tmp_path))
    assert [place.budget for place in rows] == [100_000, 500_000]
    for members in rows.values():
        assert {run.get("seed") for run in members} == {0, 1}


def test_a_run_without_a_memory_has_its_strategy_in_place_of_the_format(tmp_path: Path) -> None:
    write_run(tmp_path, memory=500_000)
    write_run(tmp_path, strategy="naive", memory=0)
    formats = {place.budget: place.series.format for place in by_place(read_runs(tmp_path))}
    assert formats == {0: "naive", 500_000: "tokens"}
