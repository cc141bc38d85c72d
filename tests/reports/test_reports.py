import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from helpers.synthetic_runs import write_grid, write_run
from seit_cl import report
from seit_cl.core import plugins
from seit_cl.reporting.base import Report
from seit_cl.reporting.best import best_option, distinguishing_options
from seit_cl.reporting.grouping import (
    Series,
    at_all_budgets,
    budget_binds,
    budget_of,
    finished,
    in_order,
    series_of,
    settings_of,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.pairs import differences
from seit_cl.reporting.styles import run_styles
from seit_cl.reports import accuracy_against_all_bytes, paired_difference
from seit_cl.results.run_files import read_runs
from seit_cl.results.summary import rebuild_summary

FIGURES = {
    "accuracy_over_experiences",
    "accuracy_against_memory",
    "exemplars_against_memory",
    "accuracy_matrix",
    "accuracy_against_all_bytes",
    "memory_per_class",
    "paired_difference",
    "forgetting",
}
ALONE = FIGURES - {"paired_difference"}  # of a folder without a pair


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    write_grid(out)
    write_run(out, seed=7, finish=False)
    (out / "broken").mkdir()
    (out / "broken" / "config.yaml").write_text("a: [1, 2")
    report.build_report(out)
    return out


def figures(out: Path) -> set[str]:
    return {path.stem for path in (out / "figures").glob("*.png")}


def test_every_report_plugin_carries_its_file_name():
    for name in plugins.names("report"):
        assert plugins.load("report", name).name == name


def test_figures_of_a_grid_are_drawn_in_both_kinds(grid):
    assert figures(grid) == FIGURES
    for name in FIGURES:
        assert (grid / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (grid / "figures" / f"{name}.svg").read_text()


def test_page_is_self_contained_and_names_unfinished_runs(grid):
    page = (grid / "report.html").read_text()
    assert not re.search(r"https?://|<script src|<link|@import|url\(", page)
    assert all(
        source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)', page)
    )
    assert (
        page.count("data:image/png") == page.count("data:image/svg+xml-compressed") == len(FIGURES)
    )
    assert "prefers-color-scheme: dark" in page and "@media print" in page
    assert "1 not finished" in page and "1 failed" in page and "broken" in page
    assert "python -m seit_cl.run --strategy naive --seed 0" in page


def test_page_escapes_what_a_run_wrote(tmp_path):
    write_run(tmp_path, device="<script>alert(1)</script>")
    assert "<script>alert" not in report.build_report(tmp_path).read_text()


def test_report_twice_gives_the_same_bytes(grid):
    names = ["report.html", "summary.csv", *(f"figures/{n}.svg" for n in FIGURES)]
    before = [(grid / name).read_bytes() for name in names]
    report.build_report(grid)
    assert [(grid / name).read_bytes() for name in names] == before


def test_single_run(tmp_path):
    write_run(tmp_path)
    report.build_report(tmp_path)
    assert figures(tmp_path) == ALONE


def test_joint_only(tmp_path):
    write_run(tmp_path, strategy="joint", spec="", memory=0)
    page = report.build_report(tmp_path).read_text()
    assert figures(tmp_path) == set()
    assert "joint" in page and "–" in page  # no forgetting to speak of


def test_only_unfinished_runs(tmp_path):
    write_run(tmp_path, finish=False)
    assert "No run has finished yet" in report.build_report(tmp_path).read_text()
    assert figures(tmp_path) == set()


def test_one_experience_only(tmp_path):
    write_run(tmp_path, experiences=1)
    report.build_report(tmp_path)
    assert figures(tmp_path) == ALONE - {
        "accuracy_over_experiences",
        "accuracy_matrix",
        "forgetting",
    }


def test_a_figure_that_no_longer_applies_goes_away(tmp_path):
    run_dir = write_run(tmp_path)
    report.build_report(tmp_path)
    (run_dir / "facts.json").unlink()
    report.build_report(tmp_path)
    assert figures(tmp_path) == set()


def test_a_failing_report_is_named_and_does_not_stop_the_rest(tmp_path, monkeypatch):
    write_run(tmp_path)

    def broken(runs):
        raise RuntimeError("no luck")

    monkeypatch.setattr(
        "seit_cl.reports.accuracy_matrix.REPORT", Report("accuracy_matrix", "x", broken)
    )
    page = report.build_report(tmp_path).read_text()
    assert "accuracy_matrix: RuntimeError: no luck" in page
    assert figures(tmp_path) == ALONE - {"accuracy_matrix"}


def test_lines_of_the_memory_figure_are_means_over_seeds(grid):
    runs = read_runs(grid)
    figure = plugins.load("report", "accuracy_against_memory").make(runs)
    ax = figure.axes[0]
    df = rebuild_summary(grid)
    tokens = df[(df["format"] == "tokens") & (df["status"] == "finished")]
    want = 100 * tokens.groupby("memory_bytes")["final_accuracy"].mean().to_numpy()
    lines = [container.lines[0] for container in ax.containers]
    assert any(
        len(line.get_ydata()) == 3 and line.get_ydata() == pytest.approx(want) for line in lines
    )
    assert ax.get_xscale() == "log"
    assert "2 seeds" in figure.get_suptitle()


def test_differences_are_paired_by_seed_and_budget(grid):
    runs, df = (
        with_memory(read_runs(grid)),
        rebuild_summary(grid).set_index(["format", "memory_bytes", "seed"]),
    )
    tokens, jpeg = sorted({series_of(run) for run in runs}, key=lambda key: key.format != "tokens")
    (row,) = settings_of(runs)
    found = differences(runs, row, tokens, jpeg)
    assert sorted(found) == [
        100_000,
        500_000,
        2_000_000,
    ]  # seed 7 has tokens alone, and is not finished
    for size, (mean, half, pairs) in found.items():
        ends = [
            [float(df.loc[(key.format, size, seed), "final_accuracy"]) for seed in (0, 1)]
            for key in (tokens, jpeg)
        ]
        apart = [100 * (a - b) for a, b in zip(*ends, strict=True)]
        assert (mean, pairs) == (pytest.approx(sum(apart) / 2), 2)
        assert half == pytest.approx(
            12.706 * abs(apart[0] - apart[1]) / 2, rel=1e-3
        )  # Student's t of one degree of freedom


def test_a_sweep_is_one_line_of_differences_to_the_best_at_each_budget(tmp_path):
    for spec in ("jpeg:quality=5,size=64", "jpeg:quality=75,size=64", "tokens"):
        for memory in (100_000, 500_000):
            write_run(tmp_path, spec=spec, memory=memory)
    runs = read_runs(tmp_path)
    (line,) = paired_difference.make(runs).axes[0].containers
    assert line.get_label() == "jpeg (1 pair)"
    ends = (
        rebuild_summary(tmp_path)
        .set_index(["format", "memory_bytes"])["final_accuracy"]
        .astype(float)
    )
    for size, apart in zip((100_000, 500_000), line.lines[0].get_ydata(), strict=True):
        best = max(
            ends[spec, size] for spec in ("jpeg:quality=5,size=64", "jpeg:quality=75,size=64")
        )
        assert apart == pytest.approx(100 * (ends["tokens", size] - best))


def test_all_bytes_are_the_memorys_the_codecs_and_the_strategys(tmp_path):
    write_run(tmp_path, memory=100_000, strategy_bytes=7)
    (run,) = read_runs(tmp_path)
    without = run.metadata["used_bytes"] + 900_000 + 7
    assert accuracy_against_all_bytes.all_bytes(run) == without
    assert (
        accuracy_against_all_bytes.all_bytes(run, model=True)
        == without + run.metadata["model_bytes"]
        > without
    )
    figure = accuracy_against_all_bytes.make([run])
    assert figure.axes[0].containers[0].lines[0].get_xdata() == pytest.approx(
        [(run.metadata["used_bytes"] + 900_007) / 1e6]
    )


def test_all_bytes_of_a_sweep_are_one_line_of_the_best_at_each_budget(tmp_path):
    for spec in ("jpeg:quality=5,size=64", "jpeg:quality=75,size=64"):
        for memory in (100_000, 500_000):
            write_run(tmp_path, spec=spec, memory=memory)
    write_run(tmp_path, memory=100_000)
    figure = accuracy_against_all_bytes.make(read_runs(tmp_path))
    lines = {container.get_label(): container.lines[0] for container in figure.axes[0].containers}
    assert list(lines) == ["tokens", "jpeg (best option)"]
    df = rebuild_summary(tmp_path)
    df = df[df["format"] != "tokens"]
    best = 100 * df.groupby("memory_bytes")["final_accuracy"].max()
    assert lines["jpeg (best option)"].get_ydata() == pytest.approx(best.to_numpy())


def test_where_no_run_needs_a_codec_all_bytes_are_those_of_the_memory_and_not_drawn_again(tmp_path):
    write_run(tmp_path, codec_bytes=0)
    report.build_report(tmp_path)
    assert "accuracy_against_all_bytes" not in figures(tmp_path)


def test_the_best_option_is_chosen_among_those_with_the_most_seeds(tmp_path):
    specs = ("jpeg:quality=5,size=64", "jpeg:quality=75,size=64", "jpeg:quality=90,size=64")
    for spec in specs:
        for seed in (0, 1)[: 1 if spec == specs[2] else 2]:
            write_run(tmp_path, spec=spec, seed=seed)
    write_run(tmp_path)
    report.build_report(tmp_path)
    assert "best_against_memory" in figures(tmp_path)
    jpegs = [run for run in read_runs(tmp_path) if run.get("format") in specs]
    df = rebuild_summary(tmp_path).groupby("format")["final_accuracy"].mean() * 100
    options, mean, _ = best_option(jpegs)
    assert options != "quality=90,size=64" and mean == pytest.approx(
        max(df[specs[0]], df[specs[1]])
    )


def test_only_the_options_that_differ_are_written_beside_a_point():
    tried = {"quality=5,size=64", "quality=25,size=64"}
    assert distinguishing_options("quality=25,size=64", tried) == "quality=25"
    assert (
        distinguishing_options("quality=25,size=64", tried | {"quality=25,size=32"})
        == "quality=25,size=64"
    )
    assert distinguishing_options("quality=25,size=64", {"quality=25,size=64"}) == ""


def test_what_a_sweep_tried_once_is_left_out_where_its_winner_has_more_seeds(tmp_path):
    tried = [f"jpeg:quality={q},size=64" for q in (5, 25)]
    for seed in (0, 1, 2):
        for memory in (100_000, 500_000):
            write_run(tmp_path, memory=memory, seed=seed)
        for spec in tried[: 2 if seed == 0 else 1]:
            write_run(tmp_path, spec=spec, memory=100_000, seed=seed)
    write_run(tmp_path, spec=tried[1], memory=2_000_000)  # alone there: nothing else is surer
    runs = read_runs(tmp_path)
    left = {run.run_id for run in runs} - {run.run_id for run in without_sweep_trials(runs)}
    assert left == {
        run.run_id for run in runs if run.get("format") == tried[1] and budget_of(run) == 100_000
    }
    figure = plugins.load("report", "accuracy_against_memory").make(runs)
    assert "tried with one seed alone is left out" in figure.get_suptitle().replace("\n", " ")


def test_tokens_come_first_and_numbers_by_their_value():
    given = ("jpeg:quality=75", "jpeg:quality=5", "raw", "tokens:coder=table", "jpeg:quality=10")
    keys = [Series(name, "pixels") for name in given]
    names = [key.format for key in in_order(keys)]
    assert names == [
        "tokens:coder=table",
        "jpeg:quality=5",
        "jpeg:quality=10",
        "jpeg:quality=75",
        "raw",
    ]


def test_styles_stay_the_same_whatever_figure(grid):
    runs = finished(read_runs(grid))
    styles = run_styles(runs)
    assert len({style.color for style in styles.values()}) == len(styles) == 2
    assert len({style.marker for style in styles.values()}) == 2


@pytest.mark.parametrize(
    ("memory", "bound"), [(100_000, True), (1_300_000, False), (5_000_000, False)]
)
def test_whether_a_budget_binds(tmp_path, memory, bound):
    write_run(tmp_path, spec="tokens", memory=memory)  # 4,000 samples of 325 bytes are 1.3 MB
    (run,) = read_runs(tmp_path)
    used = run.metadata["used_bytes"]
    assert budget_binds(run) == (bound or memory - used < 0.02 * memory)


def test_what_the_memory_noted_goes_before_the_guess(tmp_path):
    write_run(tmp_path, spec="tokens", memory=100_000, memory_full=False)
    write_run(tmp_path, spec="tokens", memory=5_000_000, memory_full=True)
    assert [budget_binds(run) for run in sorted(read_runs(tmp_path), key=budget_of)] == [
        False,
        True,
    ]


def test_a_memory_that_is_not_full_stands_for_larger_ones_of_its_series_and_seed(tmp_path):
    for seed in (0, 1):
        for memory in (500_000, 2_000_000):  # 4,000 samples of 325 bytes are 1.3 MB
            write_run(tmp_path, memory=memory, seed=seed)
        write_run(tmp_path, spec="jpeg:quality=75,size=64", memory=8_000_000, seed=seed)
    runs = read_runs(tmp_path)
    carried = [
        run
        for run in at_all_budgets(runs)
        if run.get("format") == "tokens" and budget_of(run) == 8_000_000
    ]
    whole = [run for run in runs if run.get("format") == "tokens" and budget_of(run) == 2_000_000]
    assert [run.run_id for run in carried] == [run.run_id for run in whole]
    assert (
        len(at_all_budgets(runs)) == len(runs) + 2
    )  # a full memory of 0.5 MB stands for nothing else
    tokens, jpeg = in_order({series_of(run) for run in runs})
    found = differences(at_all_budgets(runs), settings_of(runs)[0], tokens, jpeg)
    assert {size: pairs for size, (_, _, pairs) in found.items()} == {8_000_000: 2}


def test_several_strategies_learners_and_scenarios(tmp_path):
    for strategy in ("er", "er_ace"):
        for learner in ("tokens", "pixels"):
            write_run(
                tmp_path,
                strategy=strategy,
                learner=learner,
                spec="raw" if learner == "pixels" else "tokens",
            )
    write_run(tmp_path / "x" / "..", strategy="lwf", spec="", memory=0)
    write_run(tmp_path, strategy="derpp", scenario="long-tail")
    report.build_report(tmp_path)
    figure = plugins.load("report", "accuracy_over_experiences").make(read_runs(tmp_path))
    assert len(figure.axes) == 3
    assert any("pixels learner" in text.get_text() for text in figure.legends[0].get_texts())


def test_runs_that_differ_by_more_than_the_seed_are_not_averaged(tmp_path):
    for epochs in (1, 5):
        for seed in (0, 1):
            target = write_run(tmp_path, seed=seed)
            config = yaml.safe_load((target / "config.yaml").read_text()) | {"epochs": epochs}
            (target / "config.yaml").write_text(yaml.safe_dump(config))
            target.rename(tmp_path / f"e{epochs}s{seed}")
    headings, rows = report.summary_table(report.load_summary(tmp_path))
    assert [row[headings.index("options")] for row in rows] == ["epochs=1", "epochs=5"]
    assert {row[headings.index("seeds")] for row in rows} == {"2"}
    report.build_report(tmp_path)
    figure = plugins.load("report", "accuracy_against_memory").make(
        report.mark_variants(read_runs(tmp_path))
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "tokens (epochs=1)",
        "tokens (epochs=5)",
    ]


def test_terminal_summary_is_readable(grid):
    console = Console(record=True, width=140)
    report.terminal_summary(rebuild_summary(grid), console)
    text = console.export_text()
    assert "±" in text and "tokens" in text and "forgetting" in text
    assert "1 not finished" in text and "1 failed: broken" in text


def test_terminal_summary_fits_80_columns(grid):
    console = Console(record=True, width=80)
    report.terminal_summary(rebuild_summary(grid), console)
    text = console.export_text()
    assert "…" not in text and max(map(len, text.splitlines())) <= 80


def test_command_line(grid, capsys):
    assert report.main([str(grid)]) == 0
    assert "report.html" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["absent", "empty", "a run"])
def test_bad_folder_gets_one_line_and_code_2(tmp_path, kind, capsys):
    folder = tmp_path / "absent" if kind == "absent" else tmp_path
    folder = write_run(tmp_path) if kind == "a run" else folder
    assert report.main([str(folder)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and str(folder) in captured.err and captured.err.count("\n") == 1
