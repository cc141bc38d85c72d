"""Figures of the report: the values that they show."""

import numpy as np
import pytest

from helpers.reports import legend_labels, lines_by_label, make_report
from helpers.synthetic_runs import write_grid, write_run
from seit_cl.reporting.areas import areas
from seit_cl.reporting.grouping import finished
from seit_cl.reports.accuracy_against_all_bytes import all_bytes
from seit_cl.reports.exemplars import MAX_IMAGES
from seit_cl.reports.strategies import Panel, ranked_points
from seit_cl.results.manifest import write_manifest
from seit_cl.results.metrics import final_accuracy, forgetting
from seit_cl.results.run_files import read_runs
from seit_cl.results.summary import rebuild_summary

PHASES = {
    "tokenize": {"seconds": 3.0, "images": 4600, "cores": 1},
    "train": {"seconds": 60.0, "images": 32000, "cores": 1},
    "remember": {"seconds": 1.5, "images": 4000, "cores": 1},
    "test": {"seconds": 2.0, "images": 1800, "cores": 1},
}
JPEGS = ("jpeg:quality=5,size=64", "jpeg:quality=75,size=64")


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    write_grid(out)
    write_run(out, seed=7, finish=False)
    return out


def write_pictures(run_dir, level):
    before = np.full((8, 3, 16, 16), 100, np.uint8)
    after = np.full_like(before, level)
    np.savez_compressed(run_dir / "exemplars.npz", before=before, after=after)
    write_manifest(run_dir)


# ---------------------------------------------------------------- accuracy against memory
def test_lines_against_memory_are_means_over_seeds(grid):
    figure = make_report("accuracy_against_memory", read_runs(grid))
    ax = figure.axes[0]
    df = rebuild_summary(grid)
    tokens = df[(df["format"] == "tokens") & (df["status"] == "finished")]
    means = 100 * tokens.groupby("memory_bytes")["final_accuracy"].mean().to_numpy()
    (line,) = [line for label, line in lines_by_label(ax).items() if label.startswith("tokens")]
    assert line.get_ydata() == pytest.approx(means)
    assert ax.get_xscale() == "log"
    assert "2 seeds" in figure.get_suptitle()


def test_areas_are_in_the_legend(grid):
    runs = read_runs(grid)
    figure = make_report("accuracy_against_memory", runs)
    assert "AUC" in figure.get_suptitle()
    finished_runs = [run for run in finished(runs) if run.get("memory_bytes")]
    by_format = {key.format: area for key, area in areas(finished_runs, final_accuracy).items()}
    start = f"tokens (AUC {by_format['tokens']:.1f} | "
    assert any(label.startswith(start) for label in legend_labels(figure))


def test_areas_of_several_strategies_are_in_the_table_alone(tmp_path):
    for strategy in ("er", "er_ace"):
        for memory in (100_000, 500_000):
            write_run(tmp_path, strategy=strategy, memory=memory)
    runs = read_runs(tmp_path)
    assert "AUC" not in make_report("accuracy_against_memory", runs).get_suptitle()
    assert [row[0] for row in make_report("area", runs).rows] == ["er", "er_ace"]


def test_a_figure_says_that_trials_of_a_sweep_are_left_out(tmp_path):
    for seed in (0, 1, 2):
        for spec in ("tokens", JPEGS[0]):
            write_run(tmp_path, spec=spec, memory=100_000, seed=seed)
    write_run(tmp_path, spec=JPEGS[1], memory=100_000)
    title = make_report("accuracy_against_memory", read_runs(tmp_path)).get_suptitle()
    assert "tried with one seed alone is left out" in title.replace("\n", " ")


def test_variants_have_lines_of_their_own(tmp_path):
    for epochs in (1, 5):
        write_run(tmp_path / f"epochs{epochs}")
    runs = [*read_runs(tmp_path / "epochs1"), *read_runs(tmp_path / "epochs5")]
    for run, variant in zip(runs, ("epochs=1", "epochs=5"), strict=True):
        run.variant = variant
    figure = make_report("accuracy_against_memory", runs)
    assert legend_labels(figure) == ["tokens (epochs=1)", "tokens (epochs=5)"]


# ---------------------------------------------------------------- accuracy against all bytes
def test_all_bytes_are_those_of_memory_tokenizer_and_strategy(tmp_path):
    write_run(tmp_path, memory=100_000, strategy_bytes=7)
    (run,) = read_runs(tmp_path)
    without_model = run.metadata["used_bytes"] + 900_000 + 7
    assert all_bytes(run) == without_model
    assert all_bytes(run, with_model=True) == without_model + run.metadata["model_bytes"]
    figure = make_report("accuracy_against_all_bytes", [run])
    (line,) = lines_by_label(figure.axes[0]).values()
    assert line.get_xdata() == pytest.approx([without_model / 1e6])


def test_all_bytes_of_a_sweep_are_one_line_of_the_best_at_each_budget(tmp_path):
    for spec in JPEGS:
        for memory in (100_000, 500_000):
            write_run(tmp_path, spec=spec, memory=memory)
    write_run(tmp_path, memory=100_000)
    figure = make_report("accuracy_against_all_bytes", read_runs(tmp_path))
    lines = lines_by_label(figure.axes[0])
    assert list(lines) == ["tokens", "jpeg (best option)"]
    df = rebuild_summary(tmp_path)
    jpegs = df[df["format"] != "tokens"]
    best = 100 * jpegs.groupby("memory_bytes")["final_accuracy"].max()
    assert lines["jpeg (best option)"].get_ydata() == pytest.approx(best.to_numpy())


def test_all_bytes_are_not_drawn_where_no_run_needs_a_tokenizer(tmp_path):
    write_run(tmp_path, codec_bytes=0)
    assert make_report("accuracy_against_all_bytes", read_runs(tmp_path)) is None


# ---------------------------------------------------------------- differences
def test_a_sweep_is_one_line_of_differences_to_the_best_at_each_budget(tmp_path):
    for spec in (*JPEGS, "tokens"):
        for memory in (100_000, 500_000):
            write_run(tmp_path, spec=spec, memory=memory)
    figure = make_report("paired_difference", read_runs(tmp_path))
    ((label, line),) = lines_by_label(figure.axes[0]).items()
    assert label == "jpeg (1 pair)"
    df = rebuild_summary(tmp_path).set_index(["format", "memory_bytes"])
    final = df["final_accuracy"].astype(float)
    for memory, difference in zip((100_000, 500_000), line.get_ydata(), strict=True):
        best = max(final[spec, memory] for spec in JPEGS)
        assert difference == pytest.approx(100 * (final["tokens", memory] - best))


# ---------------------------------------------------------------- forgetting
def test_forgetting_is_in_points_and_starts_at_zero(grid):
    runs = finished(read_runs(grid))
    ax = make_report("forgetting", runs).axes[0]
    values = []
    for run in runs:
        if run.get("format") == "tokens" and run.get("memory_bytes") == 100_000:
            values.append(100 * forgetting(run.accuracy))
    assert lines_by_label(ax)["tokens"].get_ydata()[0] == pytest.approx(np.mean(values))
    assert ax.get_ylim()[0] == 0


# ---------------------------------------------------------------- strategies
def test_strategies_are_ranked_at_each_budget_with_those_without_memory(tmp_path):
    for strategy in ("er", "er_ace", "derpp"):
        for memory in (100_000, 2_000_000):
            write_run(tmp_path, strategy=strategy, memory=memory)
    write_run(tmp_path, strategy="lwf", spec="", memory=0)
    runs = read_runs(tmp_path)
    figure = make_report("strategies", runs)
    assert [ax.get_title() for ax in figure.axes] == ["0.1 MB", "2 MB"]
    points = ranked_points(runs, Panel("fractals", "class-incremental", 100_000))
    best = [max(each.values()).mean for each in points.values()]
    assert best == sorted(best)
    assert set(points) == {"er", "er_ace", "derpp", "lwf"}
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(points)


def test_one_strategy_is_no_ranking(grid):
    assert make_report("strategies", read_runs(grid)) is None


# ---------------------------------------------------------------- exemplars
def test_exemplars_are_shown_once_for_each_format_under_their_originals(tmp_path):
    for seed in (0, 1):
        for spec, level in (("tokens", 50), ("raw", 100)):
            write_pictures(write_run(tmp_path, spec=spec, seed=seed, memory=100_000), level)
    axes = make_report("exemplars", read_runs(tmp_path)).axes
    names = [ax.get_ylabel() for ax in axes if ax.get_ylabel()]
    assert names == ["original", "tokens\n325 bytes", "raw\n12,290 bytes"]
    assert len(axes) == 3 * MAX_IMAGES
    assert axes[MAX_IMAGES].images[0].get_array().max() == 50


def test_a_damaged_exemplars_file_is_left_out(tmp_path):
    run_dir = write_run(tmp_path)
    (run_dir / "exemplars.npz").write_bytes(b"PK\x03\x04 half")
    assert make_report("exemplars", read_runs(tmp_path)) is None


# ---------------------------------------------------------------- time
def test_time_is_stacked_by_phase_and_tokenizing_has_throughput_alone(tmp_path):
    write_run(tmp_path, phases=PHASES)
    left, right = make_report("time_per_phase", read_runs(tmp_path)).axes
    ends = [patch.get_x() + patch.get_width() for patch in left.patches]
    assert max(ends) == pytest.approx(63.5)
    speeds = {line.get_label().split(" ")[0]: line.get_xdata()[0] for line in right.lines}
    assert speeds == pytest.approx(
        {"tokenize": 4600 / 3, "train": 32000 / 60, "remember": 4000 / 1.5, "test": 900}
    )


# ---------------------------------------------------------------- panels
def test_several_strategies_and_learners_have_panels_and_lines_of_their_own(tmp_path):
    for strategy in ("er", "er_ace"):
        write_run(tmp_path, strategy=strategy)
        write_run(tmp_path, strategy=strategy, learner="pixels", spec="raw")
    write_run(tmp_path, strategy="lwf", spec="", memory=0)
    write_run(tmp_path, strategy="derpp", scenario="long-tail")
    figure = make_report("accuracy_over_experiences", read_runs(tmp_path))
    assert len(figure.axes) == 3
    assert any("pixels learner" in label for label in legend_labels(figure))


def test_of_many_panels_only_those_of_the_best_options_are_drawn(tmp_path):
    for quality in range(5, 95, 5):
        for memory in (50_000, 100_000, 200_000):
            write_run(tmp_path, spec=f"jpeg:quality={quality},size=64", memory=memory)
    figure = make_report("accuracy_matrix", read_runs(tmp_path))
    assert len([ax for ax in figure.axes if ax.images]) == 3  # one for each budget
