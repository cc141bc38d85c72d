"""The jobs benchmark measures whole grids, and its page compares them with those of its round."""

from pathlib import Path

import pytest

from benchmarks import jobs as benchmark
from benchmarks.jobs import GridTime, Options
from seit_cl.core.errors import UserError


@pytest.mark.slow
def test_a_grid_is_timed_to_its_last_run_and_its_memory_measured(fractals: Path) -> None:
    options = Options(jobs=(2,), runs=1, epochs=1, data_root=fractals)
    (times,) = benchmark.measure(options)
    (grid,) = times[2]
    assert grid.runs == 2
    assert 0 < grid.start < grid.total
    assert grid.main_memory > 100_000_000
    assert grid.device_memory == 0


@pytest.mark.slow
def test_a_command_that_fails_is_shown_with_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        benchmark.time_grid(Options(data_root=tmp_path / "missing"), 1)


def test_ratios_are_those_of_a_round_and_missing_while_it_goes_on() -> None:
    options = Options(jobs=(1, 2), rounds=2)
    alone = [GridTime(2, 10.0, total, 10**9, 0) for total in (20.0, 40.0)]
    beside = [GridTime(4, 15.0, total, 2 * 10**9, 0) for total in (20.0, 40.0)]
    page = benchmark.report(options, {1: alone, 2: beside}, "typed")
    assert "| 2.00 (2.00–2.00) |" in page
    assert "| 1.00 |" in page
    page = benchmark.report(options, {1: alone, 2: beside[:1]}, "typed")
    assert "2.00 (2.00–2.00)" not in page
