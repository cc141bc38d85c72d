"""Tables of the report: their numbers, and their cells in bold."""

import pandas as pd
import pytest

from helpers.reports import make_report
from helpers.synthetic_runs import TESTED, write_grid, write_run
from seit_cl.reporting.headline import answer
from seit_cl.reports.summary import differ_significantly
from seit_cl.results.anytime import ANYTIME_COLUMNS
from seit_cl.results.manifest import write_manifest
from seit_cl.results.metrics import TOP5, final_accuracy
from seit_cl.results.replicates import Replicate
from seit_cl.results.run_files import read_runs
from seit_cl.results.run_writer import memory_rows, write_anytime, write_memory
from seit_cl.results.summary import rebuild_summary

IMAGES = 1000  # test images


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    write_grid(out)
    return out


def of_tokens(df: pd.DataFrame) -> pd.DataFrame:
    return df[(df["format"] == "tokens") & (df["memory_bytes"] == 500_000)]


# ---------------------------------------------------------------- summary
def test_the_summary_has_means_and_standard_deviations_over_seeds(grid):
    table = make_report("summary", read_runs(grid))
    (row,) = of_tokens(table.numbers).to_dict("records")
    values = of_tokens(rebuild_summary(grid))["final_accuracy"].astype(float)
    assert row["final_mean"] == pytest.approx(values.mean())
    assert row["final_sd"] == pytest.approx(values.std())
    assert row["seeds"] == 2


def by_seed(*values: float, first: int = 0) -> dict[Replicate, float]:
    return {Replicate(seed, 1993): value for seed, value in enumerate(values, first)}


def test_a_difference_is_significant_by_the_paired_test_over_common_seeds():
    first = by_seed(0.30, 0.40, 0.50)
    near = by_seed(0.28, 0.379, 0.481)  # 2 points at every seed, much less than seeds differ
    assert differ_significantly(first, near, IMAGES)
    assert not differ_significantly(first, by_seed(0.10, 0.45, 0.30), IMAGES)
    assert not differ_significantly(first, first, IMAGES)


def test_fewer_than_three_common_seeds_show_no_significant_difference():
    first = by_seed(0.30, 0.40, 0.50)
    assert not differ_significantly(first, by_seed(0.1), IMAGES)
    assert not differ_significantly(by_seed(0.9), by_seed(0.1), IMAGES)
    assert not differ_significantly(first, by_seed(0.1, 0.2), IMAGES)
    assert not differ_significantly(first, by_seed(0.1, 0.1, first=7), IMAGES)


@pytest.mark.parametrize(("images", "significant"), [(250, False), (300, True)])
def test_seeds_that_agree_show_a_difference_of_more_than_five_test_images(images, significant):
    first = by_seed(0.30, 0.40, 0.50)
    assert differ_significantly(first, by_seed(0.28, 0.38, 0.48), images) == significant


def test_two_seeds_that_agree_are_no_claim_anywhere(tmp_path):
    for spec, gain in (("tokens", 0), ("raw", 7)):
        for seed in range(2):
            run = write_run(tmp_path, spec=spec, memory=100_000, seed=seed)
            answers = pd.read_csv(run / "accuracy.csv").drop(columns=TOP5)
            (run / "confusion.csv").unlink()  # of other answers
            answers["correct"] = answers["total"] // 2 - gain  # the same of every class and seed
            answers.to_csv(run / "accuracy.csv", index=False)
            write_manifest(run)
    runs = read_runs(tmp_path)
    table = make_report("differences", runs)
    row = table.numbers.iloc[0]
    assert row["difference"] == pytest.approx(7 / TESTED)
    assert row["high"] - row["low"] == pytest.approx(2 * 5 / (15 * TESTED))
    assert table.bold == frozenset()
    assert make_report("summary", runs).bold == frozenset()
    assert "two pairs, so this is no evidence" in answer(runs)[0]


def test_bold_needs_more_than_one_seed(tmp_path):
    for spec in ("tokens", "raw"):
        write_run(tmp_path, spec=spec, memory=100_000)
    assert make_report("summary", read_runs(tmp_path)).bold == frozenset()


def test_bold_is_at_most_one_row_of_a_metric_and_budget_and_never_a_bound(tmp_path):
    for seed in range(4):
        for spec in ("tokens", "raw"):
            write_run(tmp_path, spec=spec, memory=100_000, seed=seed)
        write_run(tmp_path, strategy="joint", spec="", memory=0, seed=seed)
    table = make_report("summary", read_runs(tmp_path))
    final = table.headings.index("final")
    assert [table.rows[i][1] for i, j in table.bold if j == final] == ["tokens"]
    assert f"**{table.rows[0][final]}**" in table.markdown()
    assert "paired difference" in table.caption


# ---------------------------------------------------------------- differences and areas
def test_differences_in_bold_have_intervals_that_exclude_zero(grid):
    table = make_report("differences", read_runs(grid))
    column = table.headings.index("difference")
    for i, row in enumerate(table.numbers.itertuples()):
        excludes_zero = row.low > 0 or row.high < 0
        assert ((i, column) in table.bold) == (excludes_zero and row.pairs > 2)


def test_areas_are_of_series_over_the_whole_span(tmp_path):
    for memory in (100_000, 500_000):
        write_run(tmp_path, memory=memory)
    write_run(tmp_path, spec="raw", memory=100_000)
    assert [row[0] for row in make_report("area", read_runs(tmp_path)).rows] == ["tokens"]


def test_accuracy_by_class_order_is_a_mean_over_its_seeds(tmp_path):
    for seed in (0, 1):
        for order in (1993, 2000):
            write_run(tmp_path, seed=seed, order=order)
    runs = read_runs(tmp_path)
    table = make_report("class_orders", runs)
    (row,) = table.numbers.to_dict("records")
    chosen = [run for run in runs if run.config["class_order_seed"] == 2000]
    accuracies = [final_accuracy(run.accuracy) for run in chosen]
    assert row["order_2000"] == pytest.approx(sum(accuracies) / 2)
    assert table.headings[-3:] == ["1993", "2000", "range"]


def test_exemplars_are_counted_by_levels_at_the_end(tmp_path, grid):
    for seed, whole in enumerate((10, 30)):
        run_dir = write_run(tmp_path, seed=seed)
        rows = []
        for experience in range(5):
            levels = {1: 25 * experience, 2: whole}
            rows += memory_rows(experience, {"a": 100 + whole}, {"payload": 9}, levels)
        write_memory(run_dir, rows)
        write_manifest(run_dir)
    table = make_report("memory_levels", read_runs(tmp_path))
    assert table.headings[-2:] == ["1 level", "2 levels"]
    assert [row[-2:] for row in table.rows] == [["100", "20"]]
    assert table.numbers["levels_2"].tolist() == [20]
    assert make_report("memory_levels", read_runs(grid)) is None


def test_a_single_class_order_has_no_table(grid):
    assert make_report("class_orders", read_runs(grid)) is None


def test_captions_say_what_runs_vary(tmp_path):
    for seed in (0, 1, 2):
        for spec in ("tokens", "raw"):
            write_run(tmp_path, spec=spec, seed=seed, order=1993 + seed)
    runs = read_runs(tmp_path)
    for name in ("summary", "differences"):
        assert "3 seeds, each with its class order" in make_report(name, runs).caption


def test_accuracies_between_steps_have_a_table_and_a_figure(tmp_path):
    rows = [(1, 0, 0, "a", 2, 10), (2, 1, 0, "a", 1, 10), (2, 1, 1, "b", 5, 10)]
    for seed in (0, 1):
        folder = write_run(tmp_path, seed=seed, linear_probe_accuracy=0.5)
        write_anytime(folder, pd.DataFrame(rows, columns=list(ANYTIME_COLUMNS)))
        write_manifest(folder)
        write_run(tmp_path, seed=seed, strategy="naive", spec="", memory=0)
    runs = read_runs(tmp_path)
    table = make_report("anytime", runs)
    (row,) = table.numbers.to_dict("records")
    assert row["average_anytime_accuracy"] == pytest.approx((0.2 + 0.3) / 2)
    assert row["minimum_accuracy"] == pytest.approx(0.1)
    assert row["linear_probe_accuracy"] == pytest.approx(0.5)
    figure = make_report("accuracy_over_steps", runs)
    (line,) = figure.axes[0].get_lines()
    assert line.get_ydata().tolist() == pytest.approx([20, 30])
