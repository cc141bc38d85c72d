"""The summary of runs as text for the page and the terminal."""

import pytest
import yaml
from rich.console import Console

from helpers.reports import figure_names
from helpers.synthetic_runs import write_grid, write_run
from seit_cl.reporting.build import build_report
from seit_cl.reporting.loading import load_summary
from seit_cl.reporting.summary import summary_table, terminal_summary
from seit_cl.results.manifest import write_manifest
from seit_cl.results.summary import rebuild_summary


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    write_grid(out)
    write_run(out, seed=7, finish=False)
    (out / "broken").mkdir()
    (out / "broken" / "config.yaml").write_text("a: [1, 2")
    return out


def terminal_text(out, width: int) -> str:
    console = Console(record=True, width=width)
    terminal_summary(rebuild_summary(out), console)
    return console.export_text()


def test_the_terminal_has_the_numbers_and_the_runs_that_are_not_finished(grid):
    text = terminal_text(grid, width=140)
    assert "±" in text
    assert "tokens" in text
    assert "forgetting" in text
    assert "1 not finished" in text
    assert "1 failed: broken" in text


def test_seeds_and_class_orders_are_averaged_and_counted(tmp_path):
    for seed in (0, 1):
        for order in (1993, 5, 6):
            write_run(tmp_path, seed=seed, order=order)
    headings, rows = summary_table(rebuild_summary(tmp_path))
    (row,) = rows
    counts = [row[headings.index(name)] for name in ("seeds", "class orders")]
    assert counts == ["2", "3"]
    text = terminal_text(tmp_path, width=140)
    assert "over seeds and class orders" in text


def test_the_terminal_summary_fits_80_columns(grid):
    text = terminal_text(grid, width=80)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_long_name_stands_whole_above_its_numbers_at_80_columns(tmp_path):
    spec = "derpp:alpha=0.125,beta=0.0625"
    for seed in range(3):
        for memory in (100_000, 500_000):
            write_run(tmp_path, strategy=spec, memory=memory, seed=seed)
        write_run(tmp_path, spec="jpeg:quality=75,size=64", seed=seed)
    lines = terminal_text(tmp_path, width=80).splitlines()
    assert lines.count(f"{spec} · tokens") == 1
    above = lines.index(f"{spec} · tokens")
    assert [line.split()[0] for line in lines[above + 1 : above + 3]] == ["0.1", "0.5"]
    assert max(map(len, lines)) <= 80


def test_runs_that_differ_by_more_than_the_seed_are_not_averaged(tmp_path):
    for epochs in (1, 5):
        for seed in (0, 1):
            run_dir = write_run(tmp_path, seed=seed)
            config = yaml.safe_load((run_dir / "config.yaml").read_text())
            (run_dir / "config.yaml").write_text(yaml.safe_dump(config | {"epochs": epochs}))
            write_manifest(run_dir)
            run_dir.rename(tmp_path / f"epochs{epochs}-seed{seed}")
    headings, rows = summary_table(load_summary(tmp_path))
    assert [row[headings.index("options")] for row in rows] == ["epochs=1", "epochs=5"]
    assert {row[headings.index("seeds")] for row in rows} == {"2"}
    build_report(tmp_path)
    assert "accuracy_against_memory" in figure_names(tmp_path)


def test_long_names_stay_readable_on_80_columns(tmp_path):
    name = "lucir:distillation=11.8,margin=0.552"
    for seed in (0, 1):
        for spec in ("tokens", "webp_scan:quality=5,size=64"):
            write_run(tmp_path, strategy=name, spec=spec, seed=seed, order=seed)
    text = terminal_text(tmp_path, width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "lucir:distillation=11.8" in text
    assert "final" in text


def test_the_page_has_backward_transfer(grid):
    headings, rows = summary_table(load_summary(grid))
    column = headings.index("backward transfer, points")
    assert all(row[column] for row in rows)
