import numpy as np
import pytest
from matplotlib.colors import to_rgb

from helpers.synthetic_runs import write_grid, write_run
from seit_cl import report
from seit_cl.core import plugins
from seit_cl.reporting.grouping import Series, with_memory
from seit_cl.reporting.presets import PRESETS, preset, use_preset
from seit_cl.reporting.styles import format_colours, run_styles, series_styles
from seit_cl.reports import accuracy_matrix, exemplars, strategies, time_per_phase
from seit_cl.reports import forgetting as forgetting_report
from seit_cl.results.metrics import forgetting
from seit_cl.results.run_files import read_runs

PHASES = {
    "tokenize": {"seconds": 3.0, "images": 4600, "cores": 1},
    "train": {"seconds": 60.0, "images": 32000, "cores": 1},
    "remember": {"seconds": 1.5, "images": 4000, "cores": 1},
    "test": {"seconds": 2.0, "images": 1800, "cores": 1},
}


def pictures(run_dir, level):
    before = np.full((8, 3, 16, 16), 100, np.uint8)
    np.savez_compressed(run_dir / "exemplars.npz", before=before, after=np.full_like(before, level))


def test_forgetting_is_in_points_and_starts_at_zero(tmp_path):
    write_grid(tmp_path)
    runs = read_runs(tmp_path)
    ax = forgetting_report.make(runs).axes[0]
    tokens = [
        run for run in runs if run.get("format") == "tokens" and run.get("memory_bytes") == 100_000
    ]
    want = np.mean([100 * forgetting(run.accuracy) for run in tokens])
    assert any(
        container.lines[0].get_ydata()[0] == pytest.approx(want) for container in ax.containers
    )
    assert ax.get_ylim()[0] == 0


def test_strategies_are_ranked_at_each_budget_with_those_without_memory(tmp_path):
    for strategy in ("er", "er_ace", "derpp"):
        for memory in (100_000, 2_000_000):
            write_run(tmp_path, strategy=strategy, memory=memory)
    write_run(tmp_path, strategy="lwf", spec="", memory=0)
    runs = read_runs(tmp_path)
    figure = strategies.make(runs)
    assert [ax.get_title() for ax in figure.axes] == ["0.1 MB", "2 MB"]
    points = strategies.points_of(
        with_memory(runs), runs, ("fractals", "class-incremental", 100_000)
    )
    best = [max(mean for mean, _ in line.values()) for line in points.values()]
    assert best == sorted(best) and set(points) == {"er", "er_ace", "derpp", "lwf"}
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(points)


def test_one_strategy_is_no_ranking(tmp_path):
    write_grid(tmp_path)
    assert strategies.make(read_runs(tmp_path)) is None


def test_exemplars_are_shown_once_for_each_format_under_their_originals(tmp_path):
    for seed in (0, 1):
        for spec, level in (("tokens", 50), ("raw", 100)):
            pictures(write_run(tmp_path, spec=spec, seed=seed, memory=100_000), level)
    figure = exemplars.make(read_runs(tmp_path))
    names = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert names == ["original", "tokens\n325 bytes", "raw\n12,290 bytes"]
    assert len(figure.axes) == 3 * exemplars.SHOWN
    assert figure.axes[exemplars.SHOWN].images[0].get_array().max() == 50


def test_a_damaged_exemplars_file_is_left_out(tmp_path):
    run_dir = write_run(tmp_path)
    (run_dir / "exemplars.npz").write_bytes(b"PK\x03\x04 half")
    assert exemplars.make(read_runs(tmp_path)) is None


def test_time_is_stacked_by_phase_and_tokenizing_has_throughput_alone(tmp_path):
    write_run(tmp_path, phases=PHASES)
    left, right = time_per_phase.make(read_runs(tmp_path)).axes
    assert max(patch.get_x() + patch.get_width() for patch in left.patches) == pytest.approx(63.5)
    speeds = {line.get_label().split(" ")[0]: line.get_xdata()[0] for line in right.lines}
    assert speeds == pytest.approx(
        {"tokenize": 4600 / 3, "train": 32000 / 60, "remember": 4000 / 1.5, "test": 900}
    )


def test_a_format_has_one_colour_in_every_figure_and_its_options_are_shades(tmp_path):
    specs = ("jpeg:quality=5,size=64", "jpeg:quality=75,size=64", "raw", "tokens")
    for spec in specs:
        write_run(tmp_path, spec=spec)
    runs = read_runs(tmp_path)
    styles = {key.format: style for key, style in run_styles(runs).items()}
    assert styles["tokens"].color.upper() == format_colours(runs)["tokens"]
    assert (
        len({style.color for style in styles.values()})
        == len({style.marker for style in styles.values()})
        == 4
    )
    jpeg = [np.array(to_rgb(styles[spec].color)) for spec in specs[:2]]
    assert all(b <= a for a, b in zip(*jpeg, strict=True))  # the second is darker
    kinds = series_styles([Series("jpeg", "tokens")], runs)
    assert next(iter(kinds.values())).color == styles[specs[0]].color


@pytest.mark.parametrize("name", PRESETS)
def test_figures_have_the_widths_of_their_style(tmp_path, name):
    write_grid(tmp_path)
    runs = read_runs(tmp_path)
    with use_preset(name) as sizes:
        assert preset() is sizes
        for report_name, several in (("forgetting", False), ("accuracy_against_memory", True)):
            figure = plugins.load("report", report_name).make(runs)
            if sizes.widths:
                assert figure.get_figwidth() == sizes.widths[several]
            assert bool(figure.get_suptitle()) == sizes.titles
            assert "2 seeds" in figure.get_label()
    assert preset() is PRESETS["web"]


def test_a_paper_has_pdf_figures_and_their_captions_in_a_file(tmp_path, capsys):
    write_run(tmp_path)
    assert report.main([str(tmp_path), "--style", "paper"]) == 0
    assert (tmp_path / "figures" / "forgetting.pdf").read_bytes().startswith(b"%PDF")
    assert "**forgetting**: Forgetting against memory; " in (tmp_path / "captions.md").read_text()
    assert report.main([str(tmp_path)]) == 0
    assert not list((tmp_path / "figures").glob("*.pdf"))


def test_many_formats_keep_panels_to_what_can_be_read(tmp_path):
    for quality in range(5, 95, 5):
        for memory in (50_000, 100_000, 200_000):
            write_run(tmp_path, spec=f"jpeg:quality={quality},size=64", memory=memory)
    runs = read_runs(tmp_path)
    panels = [ax for ax in accuracy_matrix.make(runs).axes if ax.images]
    assert len(panels) == 3  # the best quality at each budget
