"""Every registered report: its shape, and what it makes of a grid, of one run and of none."""

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from helpers.reports import make_report
from helpers.synthetic_runs import write_grid, write_run
from seit_cl.core import plugins
from seit_cl.reporting.base import Report
from seit_cl.reporting.cost import Prices
from seit_cl.reporting.figures import render
from seit_cl.reporting.presets import use_preset
from seit_cl.reporting.tables import Table
from seit_cl.results.run_files import read_runs

NAMES = sorted(plugins.names("report"))
PRICES = Prices(per_gb_month=0.02, images_per_day=1000, retention_months=12, per_core_hour=0.1)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    write_grid(out)
    write_run(out, seed=7, finish=False)
    return read_runs(out)


@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_a_class_with_a_title_a_source_and_options(name):
    report = plugins.load("report", name)
    assert issubclass(report, Report)
    assert report.title
    assert report.source
    assert report.Options.__dataclass_params__.frozen
    assert report.__module__ == f"seit_cl.reports.{name}"


@pytest.mark.parametrize("name", NAMES)
def test_without_runs_there_is_nothing_to_show(name):
    assert make_report(name, [], PRICES) is None


@pytest.mark.parametrize("name", NAMES)
def test_unfinished_runs_have_nothing_to_show(name, grid):
    unfinished = [run for run in grid if run.status != "finished"]
    assert unfinished
    assert make_report(name, unfinished, PRICES) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_report_of_a_grid_is_a_figure_with_a_caption_or_a_table_with_its_numbers(name, grid):
    result = make_report(name, grid, PRICES)
    if isinstance(result, Table):
        assert result.caption
        assert len(result.rows) == len(result.numbers) > 0
        assert all(len(row) == len(result.headings) for row in result.rows)
        assert 0 < result.text_columns < len(result.headings)
    elif result is not None:
        assert isinstance(result, Figure)
        assert result.get_label().startswith(plugins.load("report", name).title)


def named(run, name):
    """A run whose data set, model, classes and setting have another name."""
    tables = []
    for table, column in ((run.accuracy, "class"), (run.memory, "name")):
        tables.append(None if table is None else table.assign(**{column: table[column] + name}))
    names = ["class", "predicted"]
    confusion = run.confusion.assign(**{column: run.confusion[column] + name for column in names})
    metadata = run.metadata | dict.fromkeys(("dataset", "model", "scenario"), name)
    return replace(
        run, metadata=metadata, accuracy=tables[0], memory=tables[1], confusion=confusion
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_report_made_twice_has_the_same_bytes_with_names_that_are_broken_formulas(name, grid):
    files = []
    grid = [named(run, "$x^{$ _&<") for run in grid]
    for _ in range(2):
        with use_preset("web"):
            result = make_report(name, grid, PRICES)
            if isinstance(result, Figure):
                result = render(result)
        files.append(result.files() if isinstance(result, Table) else result)
    assert files[0] == files[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_leaves_its_runs_as_they_are(name, grid):
    before = [(dict(run.metadata), run.variant, run.accuracy.copy()) for run in grid]
    make_report(name, grid, PRICES)
    for run, (metadata, variant, accuracy) in zip(grid, before, strict=True):
        assert run.metadata == metadata
        assert run.variant == variant
        assert run.accuracy.equals(accuracy)
