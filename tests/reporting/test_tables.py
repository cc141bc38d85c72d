import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.synthetic_runs import write_grid, write_run
from seit_cl import report
from seit_cl.reporting.grouping import settings_of
from seit_cl.reporting.tables import Table
from seit_cl.reports import accuracy_against_memory, area, differences, summary
from seit_cl.results.metrics import area_under_curve
from seit_cl.results.run_files import read_runs
from seit_cl.results.summary import rebuild_summary


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    write_grid(out)
    report.build_report(out)
    return out


def test_tables_are_written_as_csv_markdown_and_latex(grid):
    for name in ("summary", "differences", "area"):
        for suffix in ("csv", "md", "tex"):
            assert (grid / "tables" / f"{name}.{suffix}").stat().st_size > 100
    assert not list((grid / "tables").glob("storage_cost*"))


def test_the_summary_has_means_and_standard_deviations_over_seeds(grid):
    found = pd.read_csv(grid / "tables" / "summary.csv")
    df = rebuild_summary(grid)
    want = df[(df["format"] == "tokens") & (df["memory_bytes"] == 500_000)][
        "final_accuracy"
    ].astype(float)
    (row,) = found[(found["format"] == "tokens") & (found["memory_bytes"] == 500_000)].to_dict(
        "records"
    )
    assert row["final_mean"] == pytest.approx(want.mean()) and row["final_sd"] == pytest.approx(
        want.std()
    )
    assert row["seeds"] == 2


def test_a_difference_is_sure_by_the_paired_test_over_common_seeds():
    ours = {0: 0.30, 1: 0.40, 2: 0.50}
    assert summary.surely_apart(
        ours, {0: 0.28, 1: 0.379, 2: 0.481}
    )  # 2 points each: the seeds' spread is no noise here
    assert not summary.surely_apart(ours, {0: 0.10, 1: 0.45, 2: 0.30})
    assert not summary.surely_apart(ours, {0: 0.1})  # one common seed
    assert not summary.surely_apart({0: 0.9}, {0: 0.1})
    assert not summary.surely_apart(ours, ours)
    assert not summary.surely_apart(ours, {7: 0.1, 8: 0.1})


def test_bold_needs_more_than_one_seed(tmp_path):
    for spec in ("tokens", "raw"):
        write_run(tmp_path, spec=spec, memory=100_000)
    assert summary.make(read_runs(tmp_path)).bold == frozenset()


def test_bold_is_at_most_one_row_of_a_metric_and_budget_and_never_a_bound(tmp_path):
    for seed in range(4):
        for spec in ("tokens", "raw"):
            write_run(tmp_path, spec=spec, memory=100_000, seed=seed)
        write_run(tmp_path, strategy="joint", spec="", memory=0, seed=seed)
    table = summary.make(read_runs(tmp_path))
    final = table.headings.index("final")
    assert [table.rows[i][1] for i, j in table.bold if j == final] == ["tokens"]
    text = table.markdown()
    assert f"**{table.rows[0][final]}**" in text and "paired t-test" in text
    assert r"\textbf{" in table.latex() and r"$\pm$" in table.latex()


def test_differences_leave_out_zero_where_they_are_bold(grid):
    table = differences.make(read_runs(grid))
    where = list(table.headings).index("difference")
    for i, row in enumerate(table.numbers.itertuples()):
        assert ((i, where) in table.bold) == (row.low > 0 or row.high < 0)


def test_markdown_and_latex_escape_what_would_break_them():
    table = Table("5 % of a_b", ["a|b", "x"], [["c|d & e_f", "1"]], pd.DataFrame({"a": ["c"]}))
    assert r"c\|d" in table.markdown()
    tex = table.latex()
    assert r"c|d \& e\_f & 1 \\" in tex and r"5 \% of a\_b" in tex and r"\toprule" in tex
    assert list(csv.reader(io.StringIO(table.files()["csv"]))) == [["a"], ["c"]]


def test_the_area_of_a_line_is_its_mean():
    assert area_under_curve([1, 2, 4], [10, 20, 40]) == pytest.approx(25)
    assert area_under_curve([1, 10, 100], [10, 20, 30], log=True) == pytest.approx(20)
    assert area_under_curve([1, 10, 100], [10, 20, 30]) == pytest.approx((9 * 15 + 90 * 25) / 99)
    assert area_under_curve([1], [10]) != area_under_curve([1], [10])  # nan: no span


POINTS = st.lists(
    st.tuples(st.floats(0.01, 100), st.floats(0, 100)),
    min_size=2,
    max_size=8,
    unique_by=lambda point: point[0],
)


@given(POINTS, st.booleans())
def test_an_area_lies_between_the_lowest_and_the_highest_value(points, log):
    x, y = zip(*sorted(points), strict=True)
    if x[-1] > 1.01 * x[0]:
        assert min(y) - 1e-6 <= area_under_curve(x, y, log) <= max(y) + 1e-6


def test_areas_are_of_series_over_the_whole_span_and_in_the_legend(grid, tmp_path):
    runs = read_runs(grid)
    figure = accuracy_against_memory.make(runs)
    assert "AUC" in figure.get_suptitle()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    df = rebuild_summary(grid)
    means = df[df["format"] == "tokens"].groupby("memory_bytes")["final_accuracy"].mean()
    want = 100 * area_under_curve(list(means.index), list(means))
    assert any(label.startswith(f"tokens (AUC {want:.1f} | ") for label in labels)
    for memory in (100_000, 500_000):
        write_run(tmp_path, memory=memory)
    write_run(tmp_path, spec="raw", memory=100_000)
    assert [row[0] for row in area.make(read_runs(tmp_path)).rows] == ["tokens"]


def test_areas_of_several_strategies_are_in_the_table_alone(tmp_path):
    for strategy in ("er", "er_ace"):
        for memory in (100_000, 500_000):
            write_run(tmp_path, strategy=strategy, memory=memory)
    runs = read_runs(tmp_path)
    assert "AUC" not in accuracy_against_memory.make(runs).get_suptitle()
    assert [row[0] for row in area.make(runs).rows] == ["er", "er_ace"]
    assert settings_of(runs)[0].strategy == "er"
