"""Colours and markers of series, and sizes of figures."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from helpers.reports import make_report
from helpers.synthetic_runs import write_grid, write_run
from seit_cl.reporting.grouping import Series, finished
from seit_cl.reporting.presets import PRESETS, preset, use_preset
from seit_cl.reporting.styles import format_colours, run_styles, series_styles
from seit_cl.results.run_files import read_runs

SPECS = ("jpeg:quality=5,size=64", "jpeg:quality=75,size=64", "raw", "tokens")


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    write_grid(out)
    return finished(read_runs(out))


def test_every_series_has_a_colour_and_a_marker_of_its_own(grid):
    styles = run_styles(grid)
    assert len(styles) == 2
    assert len({style.color for style in styles.values()}) == 2
    assert len({style.marker for style in styles.values()}) == 2


def test_a_format_has_one_colour_in_every_figure_and_its_options_are_shades(tmp_path):
    for spec in SPECS:
        write_run(tmp_path, spec=spec)
    runs = read_runs(tmp_path)
    styles = {series.format: style for series, style in run_styles(runs).items()}
    assert styles["tokens"].color.upper() == format_colours(runs)["tokens"]
    assert len({style.color for style in styles.values()}) == len(SPECS)
    assert len({style.marker for style in styles.values()}) == len(SPECS)
    first, second = (np.array(to_rgb(styles[spec].color)) for spec in SPECS[:2])
    assert (second <= first).all()  # a darker shade
    kind = Series("jpeg", "tokens")
    assert series_styles([kind], runs)[kind].color == styles[SPECS[0]].color


@pytest.mark.parametrize("name", PRESETS)
def test_figures_have_the_widths_of_their_preset(grid, name):
    with use_preset(name) as sizes:
        assert preset() is sizes
        for report, several_columns in (("forgetting", False), ("accuracy_against_memory", True)):
            figure = make_report(report, grid)
            if sizes.widths:
                assert figure.get_figwidth() == sizes.widths[several_columns]
            assert bool(figure.get_suptitle()) == sizes.titles
            assert "2 seeds" in figure.get_label()
    assert preset() is PRESETS["web"]
