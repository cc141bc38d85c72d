"""Figures can be read: names fit, markers are whole, and what is left out is said."""

import matplotlib.backends.backend_agg as agg
import pytest

from helpers.reports import legend_labels, make_report
from helpers.synthetic_runs import write_run
from seit_cl.reporting.cost import Prices
from seit_cl.reporting.presets import use_preset
from seit_cl.results.run_files import read_runs

LONG = "lucir:distillation=11.8,margin=0.552,scale=32.0"
PRICES = Prices(per_gb_month=0.02, images_per_day=1000, retention_months=12, per_core_hour=0.1)
PHASE = {"seconds": 60.0, "images": 32000, "cores": 1}


@pytest.fixture(autouse=True)
def web():
    with use_preset("web"):
        yield


def drawn(figure):
    """The renderer of a figure that has been drawn."""
    canvas = agg.FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


@pytest.mark.parametrize("name", ["accuracy_matrix", "accuracy_against_all_bytes"])
def test_titles_of_long_strategies_stay_beside_one_another(tmp_path, name):
    for strategy in (LONG, "er"):
        for spec in ("tokens", "webp_scan:quality=5,size=64", "raw"):
            write_run(tmp_path, strategy=strategy, spec=spec, memory=100_000)
    figure = make_report(name, read_runs(tmp_path))
    renderer = drawn(figure)
    boxes = [ax.title.get_window_extent(renderer) for ax in figure.axes if ax.get_title()]
    assert len(boxes) >= 4
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize("strategies", [["er"], ["er", "er_ace", "derpp", "agem"]])
def test_the_scale_of_colours_ends_above_the_data_and_below_the_title(tmp_path, strategies):
    for strategy in strategies:
        write_run(tmp_path, strategy=strategy, memory=100_000)
    figure = make_report("accuracy_matrix", read_runs(tmp_path))
    images = [ax.images[0] for ax in figure.axes if ax.images]
    best = max(float(image.get_array().max()) for image in images)
    top = images[0].get_clim()[1]
    assert best <= top <= best + 10
    renderer = drawn(figure)
    bar = figure.axes[-1].get_tightbbox(renderer)
    assert not bar.overlaps(figure._suptitle.get_window_extent(renderer))


@pytest.mark.parametrize("name", ["accuracy_against_memory", "accuracy_against_all_bytes"])
def test_the_marker_of_one_run_is_inside_of_its_panel(tmp_path, name):
    write_run(tmp_path)
    figure = make_report(name, read_runs(tmp_path))
    for ax in figure.axes:
        (container,) = ax.containers
        x, y = container.lines[0].get_xydata()[0]
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert left < 0.97 * x < 1.03 * x < right
        assert bottom < y < 0.95 * top


def test_all_bytes_have_three_ticks_or_more(tmp_path):
    write_run(tmp_path)
    figure = make_report("accuracy_against_all_bytes", read_runs(tmp_path))
    drawn(figure)
    low, high = figure.axes[0].get_xlim()
    assert sum(low <= tick <= high for tick in figure.axes[0].get_xticks()) >= 3


def test_panels_that_stand_for_others_name_them(tmp_path):
    for strategy in ("er", "er_ace", "derpp"):
        write_run(tmp_path, strategy=strategy, memory=100_000)
    label = make_report("memory_per_class", read_runs(tmp_path)).get_label()
    assert "panels of the same counts are drawn once: derpp for er, tokens; er_ace, tokens" in label


def test_every_class_has_a_bar_of_its_final_accuracy(tmp_path):
    write_run(tmp_path, memory=100_000)
    (run,) = read_runs(tmp_path)
    ax = make_report("accuracy_per_class", [run]).axes[0]
    last = run.accuracy[run.accuracy["after_experience"] == 4]
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx((100 * last["correct"] / last["total"]).tolist())
    assert [text.get_text() for text in ax.get_xticklabels()] == last["class"].tolist()


def test_the_cost_has_a_legend_of_every_format(tmp_path):
    write_run(tmp_path, memory=100_000)
    write_run(tmp_path, strategy="er_ace", spec="raw", memory=100_000)
    labels = legend_labels(make_report("cost", read_runs(tmp_path), PRICES))
    expected = {"tokens", "raw", "png:size=64", "jpeg:quality=75,size=64", "the original files"}
    assert set(labels) == expected


def test_processor_time_stands_beside_the_time_by_the_clock(tmp_path):
    for seed, cpu in ((0, 20.0), (1, 30.0)):
        write_run(tmp_path, seed=seed, phases={"train": PHASE | {"cpu_seconds": cpu}})
    figure = make_report("time_per_phase", read_runs(tmp_path))
    widths = sorted(patch.get_width() for patch in figure.axes[0].patches)
    assert widths == pytest.approx([25.0, 60.0])
    assert "of the processor" in figure.get_label()


def test_runs_without_processor_time_are_drawn_with_a_word(tmp_path):
    write_run(tmp_path, phases={"train": PHASE})
    label = make_report("time_per_phase", read_runs(tmp_path)).get_label()
    assert "recorded no processor time" in label


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Runs of 62 strategies with two formats."""
    out = tmp_path_factory.mktemp("many")
    for i in range(62):
        for spec in ("tokens", "raw"):
            write_run(out, strategy=f"s{i:02}", spec=spec, experiences=2, phases={"train": PHASE})
    return read_runs(out)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("accuracy_against_all_bytes", "the first 10 of 62: a report of fewer folders draws"),
        ("accuracy_against_memory", "the first 10 of 62: tables/summary has all"),
        ("accuracy_over_experiences", "the first 10 of 62: a report of fewer folders draws"),
        ("exemplars_against_memory", "the first 24 of 62: tables/summary has all"),
        ("forgetting", "the first 24 of 62: tables/summary has all"),
        ("paired_difference", "the first 24 of 62: tables/differences has all"),
        ("task_incremental", "the first 24 of 62: tables/summary has all"),
        ("time_per_phase", "the first 60 of 124: a report of fewer folders draws"),
    ],
)
def test_figures_of_many_settings_stay_short_and_say_what_they_leave_out(many, name, words):
    figure = make_report(name, many)
    assert words in figure.get_label()
    assert figure.get_figheight() < 25  # inches; a panel for every setting takes some 100
