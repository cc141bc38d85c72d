"""Areas under accuracy against the memory budget."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.synthetic_runs import write_grid, write_run
from seit_cl.reporting.areas import areas
from seit_cl.reporting.grouping import with_memory
from seit_cl.results.metrics import area_under_curve, final_accuracy
from seit_cl.results.run_files import read_runs
from seit_cl.results.summary import rebuild_summary

POINTS = st.lists(
    st.tuples(st.floats(0.01, 100), st.floats(0, 100)),
    min_size=2,
    max_size=8,
    unique_by=lambda point: point[0],
)


def test_the_area_of_a_line_is_its_mean():
    assert area_under_curve([1, 2, 4], [10, 20, 40]) == pytest.approx(25)
    assert area_under_curve([1, 10, 100], [10, 20, 30], log=True) == pytest.approx(20)
    assert area_under_curve([1, 10, 100], [10, 20, 30]) == pytest.approx((9 * 15 + 90 * 25) / 99)
    assert math.isnan(area_under_curve([1], [10]))  # no span


@given(POINTS, st.booleans())
def test_an_area_lies_between_the_lowest_and_the_highest_value(points, log):
    x, y = zip(*sorted(points), strict=True)
    if x[-1] > 1.01 * x[0]:
        assert min(y) - 1e-6 <= area_under_curve(x, y, log) <= max(y) + 1e-6


def test_areas_are_of_means_over_seeds_in_percent(tmp_path):
    write_grid(tmp_path)
    runs = with_memory(read_runs(tmp_path))
    df = rebuild_summary(tmp_path)
    means = df[df["format"] == "tokens"].groupby("memory_bytes")["final_accuracy"].mean()
    expected = 100 * area_under_curve(list(means.index), list(means))
    by_format = {series.format: area for series, area in areas(runs, final_accuracy).items()}
    assert by_format["tokens"] == pytest.approx(expected)


def test_a_series_without_the_smallest_or_the_largest_budget_has_no_area(tmp_path):
    for memory in (100_000, 500_000):
        write_run(tmp_path, memory=memory)
    write_run(tmp_path, spec="raw", memory=100_000)
    by_series = areas(read_runs(tmp_path), final_accuracy)
    assert [series.format for series in by_series] == ["tokens"]
