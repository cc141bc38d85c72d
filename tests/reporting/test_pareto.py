"""Points of bytes, FLOPs and accuracy, and the Pareto front among them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.reports import make_report
from helpers.synthetic_runs import write_run
from seit_cl.reporting.pareto import pareto_front, points_of
from seit_cl.results.names import FLOPS_COLUMNS
from seit_cl.results.run_files import read_runs


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_a_point_is_on_the_front_if_and_only_if_none_beats_it(
    points: list[tuple[int, int]],
) -> None:
    costs = [float(cost) for cost, _ in points]
    values = [float(value) for _, value in points]
    front = pareto_front(costs, values)
    for cost, value in points:
        beaten = any((c <= cost and v > value) or (c < cost and v >= value) for c, v in points)
        kept = any(points[i] == (cost, value) for i in front)
        assert kept is not beaten
    assert [costs[i] for i in front] == sorted(costs[i] for i in front)


def test_points_are_means_over_seeds_and_leave_tests_out_of_learning(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, seed=seed)
    (point,) = points_of(read_runs(tmp_path))
    assert point.runs == 2
    assert point.learning_flops == point.flops["flops_total"] - 1e13


def test_runs_without_flops_are_left_out_with_a_word(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_run(tmp_path, spec="raw", **dict.fromkeys(FLOPS_COLUMNS))
    runs = read_runs(tmp_path)
    assert [run.status for run in runs] == ["finished", "finished"]
    note = "left out, since they recorded no FLOPs: 1 of 2 runs"
    assert note in make_report("accuracy_against_compute", runs).get_label()
    table = make_report("compute", runs)
    assert note in table.caption
    assert len(table.rows) == 1


def test_the_table_marks_the_fronts(tmp_path: Path) -> None:
    write_run(tmp_path, memory=100_000)
    write_run(tmp_path, memory=2_000_000)
    write_run(tmp_path, strategy="naive", spec="", memory=0)
    numbers = make_report("compute", read_runs(tmp_path)).numbers
    fronts = dict(zip(numbers["memory_bytes"], numbers["front"], strict=True))
    assert fronts[100_000] == "bytes and FLOPs"
    assert fronts[0] == ""
    assert numbers["flops_total"].tolist() == pytest.approx(
        numbers[list(FLOPS_COLUMNS[:-1])].sum(axis=1).tolist()
    )


def test_equal_costs_look_equal(tmp_path: Path) -> None:
    write_run(tmp_path, memory=100_000)
    write_run(tmp_path, memory=100_000, spec="raw")
    figure = make_report("accuracy_against_compute", read_runs(tmp_path))
    for ax in figure.axes[:2]:
        low, high = ax.get_xlim()
        assert high / low >= 9.99
