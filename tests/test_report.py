"""The command python -m seit_cl.report and the files that it writes."""

import csv
import re

import pytest

from helpers.reports import figure_names
from helpers.synthetic_runs import write_grid, write_run
from seit_cl.core.cli import run_command
from seit_cl.core.errors import UserError
from seit_cl.report import main
from seit_cl.reporting.base import Report
from seit_cl.reporting.build import build_report
from seit_cl.results.run_writer import reopen_run

FIGURES = {
    "accuracy_over_experiences",
    "accuracy_against_memory",
    "exemplars_against_memory",
    "accuracy_matrix",
    "accuracy_per_class",
    "accuracy_against_all_bytes",
    "accuracy_against_compute",
    "memory_per_class",
    "paired_difference",
    "forgetting",
    "task_incremental",
    "confusion_matrix",
    "loss_curves",
}
WITHOUT_PAIRS = FIGURES - {"paired_difference"}
NEEDS_EXPERIENCES = {"accuracy_over_experiences", "accuracy_matrix", "forgetting"}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    write_grid(out)
    write_run(out, seed=7, finish=False)
    (out / "broken").mkdir()
    (out / "broken" / "config.yaml").write_text("a: [1, 2")
    build_report(out)
    return out


def test_figures_of_a_grid_are_written_as_png_and_svg(grid):
    assert figure_names(grid) == FIGURES
    for name in FIGURES:
        assert (grid / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (grid / "figures" / f"{name}.svg").read_text()


def test_tables_of_a_grid_are_written_as_csv_markdown_and_latex(grid):
    for name in ("summary", "differences", "area", "compute", "confusions"):
        for suffix in ("csv", "md", "tex"):
            assert (grid / "tables" / f"{name}.{suffix}").stat().st_size > 100
    assert not list((grid / "tables").glob("storage_cost*"))


def test_the_page_is_self_contained_and_names_unfinished_runs(grid):
    page = (grid / "report.html").read_text()
    assert not re.search(r"https?://|<script src|<link|@import|url\(", page)
    for source in re.findall(r'src="([^"]*)', page):
        assert source.startswith("data:image/png;base64,")
    assert page.count("data:image/png") == len(FIGURES)
    assert page.count("data:image/svg+xml-compressed") == len(FIGURES)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert "1 not finished" in page
    assert "1 failed" in page
    assert "broken" in page
    assert "python -m seit_cl.run --strategy naive --seed 0" in page


def test_the_page_escapes_text_of_runs(tmp_path):
    write_run(tmp_path, device="<script>alert(1)</script>")
    assert "<script>alert" not in build_report(tmp_path).read_text()


def test_a_report_made_twice_has_the_same_bytes(grid):
    names = ["report.html", "summary.csv", *(f"figures/{name}.svg" for name in FIGURES)]
    before = [(grid / name).read_bytes() for name in names]
    build_report(grid)
    assert [(grid / name).read_bytes() for name in names] == before


def test_a_single_run_has_all_figures_that_need_no_pair(tmp_path):
    write_run(tmp_path)
    build_report(tmp_path)
    assert figure_names(tmp_path) == WITHOUT_PAIRS


def test_joint_runs_alone_have_figures_of_their_classes_and_losses_and_no_forgetting(tmp_path):
    write_run(tmp_path, strategy="joint", spec="", memory=0)
    page = build_report(tmp_path).read_text()
    assert figure_names(tmp_path) == {"accuracy_per_class", "confusion_matrix", "loss_curves"}
    assert "joint" in page
    assert "–" in page


def test_unfinished_runs_alone_have_a_page_without_figures(tmp_path):
    write_run(tmp_path, finish=False)
    assert "No run has finished yet" in build_report(tmp_path).read_text()
    assert figure_names(tmp_path) == set()


def test_runs_of_one_experience_have_no_figures_over_experiences(tmp_path):
    write_run(tmp_path, experiences=1)
    build_report(tmp_path)
    assert figure_names(tmp_path) == WITHOUT_PAIRS - NEEDS_EXPERIENCES


def test_a_figure_that_no_longer_applies_is_removed(tmp_path):
    run_dir = write_run(tmp_path)
    build_report(tmp_path)
    reopen_run(run_dir)
    build_report(tmp_path)
    assert figure_names(tmp_path) == set()


def test_a_failing_report_is_named_and_does_not_stop_the_rest(tmp_path, monkeypatch):
    class Broken(Report):
        title = "Broken"

        def make(self, runs):
            raise RuntimeError("no luck")

    write_run(tmp_path)
    monkeypatch.setattr("seit_cl.reports.accuracy_matrix.REPORT", Broken)
    page = build_report(tmp_path).read_text()
    assert "accuracy_matrix: RuntimeError: no luck" in page
    assert figure_names(tmp_path) == WITHOUT_PAIRS - {"accuracy_matrix"}


def test_a_paper_has_pdf_figures_and_their_captions_in_a_file(tmp_path, capsys):
    write_run(tmp_path)
    main([str(tmp_path), "--style", "paper"])
    assert (tmp_path / "figures" / "forgetting.pdf").read_bytes().startswith(b"%PDF")
    assert "**forgetting**: Forgetting against memory; " in (tmp_path / "captions.md").read_text()
    main([str(tmp_path)])
    assert not list((tmp_path / "figures").glob("*.pdf"))


def test_the_command_prints_the_path_of_the_page(grid, capsys):
    main([str(grid)])
    assert "report.html" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["absent", "empty", "a run"])
def test_a_folder_without_runs_gets_one_line_and_code_2(tmp_path, kind, capsys):
    folder = tmp_path
    if kind == "absent":
        folder = tmp_path / "absent"
    elif kind == "a run":
        folder = write_run(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_command(lambda: main([str(folder)]))
    captured = capsys.readouterr()
    assert end.value.code == 2
    assert captured.out == ""
    assert str(folder) in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("place", ["a file", "/proc/report"])
def test_a_folder_that_cannot_be_written_is_named_with_its_option(tmp_path, place):
    write_run(tmp_path / "runs")
    out = tmp_path / place
    if place == "a file":
        out.write_text("mine")
    with pytest.raises(UserError, match=rf"--out {out}: cannot be written .*another folder"):
        main([str(tmp_path / "runs"), "--out", str(out)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "DIR is required; --help lists the options"),
        (["runs", "--style", "wob"], r"--style: invalid choice: 'wob' \(.*; --help lists"),
        (["runs", "--budget", "3"], "unrecognized arguments: --budget 3; --help lists the options"),
    ],
)
def test_a_wrong_word_is_named_with_where_the_right_ones_are(words, message):
    with pytest.raises(UserError, match=f"^{message}"):
        main(words)


@pytest.mark.slow
def test_a_name_of_data_is_no_html_and_no_formula_in_any_file(tmp_path):
    name = "=cmd|x<img src=x onerror=alert(1)>[a](javascript:x)"
    for memory in (100_000, 500_000):
        write_run(tmp_path, dataset=name, memory=memory)
    build_report(tmp_path)
    pages = [tmp_path / "captions.md", tmp_path / "report.html", *tmp_path.glob("tables/*.md")]
    for page in pages:
        assert "<img src" not in page.read_text()
        if page.suffix == ".md":
            assert "](javascript" not in page.read_text()
    for table in [tmp_path / "summary.csv", *tmp_path.glob("tables/*.csv")]:
        for row in csv.reader(table.read_text().splitlines()):
            assert not any(cell.startswith("=") for cell in row)


def test_a_page_of_another_program_is_not_replaced(tmp_path):
    write_run(tmp_path)
    page = tmp_path / "report.html"
    page.write_text("<title>my thesis</title>")
    with pytest.raises(UserError, match=r"report\.html: is no report of seit_cl"):
        main([str(tmp_path)])
    assert page.read_text() == "<title>my thesis</title>"
    page.unlink()
    main([str(tmp_path)])
    main([str(tmp_path)])  # its own page is replaced
