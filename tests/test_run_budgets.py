"""Budgets at the edge: none, too small, exactly one record, fewer records than classes."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.run import main

BASE = [
    "--experiences",
    "2",
    "--epochs",
    "1",
    "--batch",
    "16",
    "--replay-batch",
    "8",
    "--device",
    "cpu",
]
RECORD = 80 + 1  # bytes of an exemplar: 8 x 8 codes of 10 bits, and a label


def megabytes(count: int) -> str:
    return f"{count / 1e6:.6f}"


@pytest.fixture(scope="module")
def header(fractals: Path) -> int:
    """Bytes of a memory file without exemplars."""
    config = RunConfig(data_root=fractals, device="cpu")
    memory = Experiment(config, RunData(config), Path("never written")).memory
    assert memory is not None
    return memory.used_bytes


@dataclass
class Grid:
    """Results and output of one command with a grid of budgets."""

    out: Path
    stdout: str

    def row(self, budget: int) -> pd.Series:
        """The summary's row of a budget in bytes."""
        table = pd.read_csv(self.out / "summary.csv", keep_default_na=False)
        (index,) = table.index[table.memory_bytes == budget]
        return table.loc[index]

    def said(self, budget: int) -> str:
        """The lines about the run of a budget."""
        name = f"{self.row(budget).run_id}:"
        return "\n".join(line for line in self.stdout.splitlines() if line.startswith(name))


@pytest.fixture(scope="module")
def grid(fractals: Path, header: int, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """Runs without memory, and with the bytes of exactly 1, 2 and 20 exemplars, by one command."""
    out = tmp_path_factory.mktemp("budgets") / "out"
    budgets = ["0", *(megabytes(header + count * RECORD) for count in (1, 2, 20))]
    command = [
        sys.executable,
        "-m",
        "seit_cl.run",
        "--data-root",
        str(fractals),
        *BASE,
        "--out",
        str(out),
    ]
    done = subprocess.run(
        [*command, "--memory-mb", *budgets],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Grid(out, done.stdout)


@pytest.mark.slow
def test_no_megabytes_are_no_memory_and_no_file(grid: Grid) -> None:
    row = grid.row(0)
    assert (row.status, row.exemplars, row.used_bytes, row.format) == ("finished", 0, 0, "")
    assert not (grid.out / row.run_id / "memory.bin").exists()
    assert grid.said(0) == ""


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 20])
def test_a_budget_for_a_number_of_exemplars_holds_that_number(
    grid: Grid, header: int, count: int
) -> None:
    row = grid.row(header + count * RECORD)
    assert row.exemplars == count
    assert (
        row.used_bytes == row.memory_bytes == (grid.out / row.run_id / "memory.bin").stat().st_size
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_fewer_exemplars_than_classes_are_warned_about(grid: Grid, header: int, count: int) -> None:
    covered = grid.row(header + count * RECORD).classes_covered
    assert 1 <= covered <= count
    assert f"warning: the memory covers {covered} of 5 classes; raise --memory-mb" in grid.said(
        header + count * RECORD
    )


@pytest.mark.slow
def test_a_budget_that_binds_and_covers_every_class_needs_no_words(grid: Grid, header: int) -> None:
    assert grid.row(header + 20 * RECORD).classes_covered == 5
    assert grid.said(header + 20 * RECORD) == ""


Refused = Callable[..., str]


@pytest.fixture
def refused(
    fractals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Refused:
    """Run a command that must end with one line, exit code 2 and no run; returns the line."""

    def refused(*arguments: str) -> str:
        monkeypatch.setattr(
            sys,
            "argv",
            ["run", "--data-root", str(fractals), *BASE, "--out", str(tmp_path), *arguments],
        )
        with pytest.raises(SystemExit) as end:
            run_command(main)
        line = capsys.readouterr().err
        assert end.value.code == 2
        assert len(line.splitlines()) == 1
        assert not list(tmp_path.glob("*/facts.json"))
        return line

    return refused


def test_one_byte_is_refused_with_the_bytes_that_would_do(refused: Refused, header: int) -> None:
    line = refused("--memory-mb", "0.000001")
    assert "a memory of 1 bytes is too small" in line
    assert f"at least {header + RECORD} bytes ({megabytes(header + RECORD)} MB)" in line


def test_one_byte_less_than_a_record_stops_the_whole_grid(refused: Refused, header: int) -> None:
    line = refused("--memory-mb", "0", "1", megabytes(header + RECORD - 1))
    assert f"a memory of {header + RECORD - 1} bytes is too small" in line


@pytest.mark.parametrize("budget", ["-1", "nan", "inf"])
def test_a_budget_that_is_no_size_is_refused(refused: Refused, budget: str) -> None:
    assert f"--memory-mb {budget}" in refused("--memory-mb", budget)


@pytest.mark.slow
def test_a_run_that_herds_keeps_the_same_bytes_of_other_exemplars(
    fractals: Path, header: int, tmp_path: Path
) -> None:
    budget = megabytes(header + 20 * RECORD)
    memories = {}
    command = [
        sys.executable,
        "-m",
        "seit_cl.run",
        "--data-root",
        str(fractals),
        "--memory-mb",
        budget,
        *BASE,
    ]
    for policy in ("class-balanced", "herding"):
        out = tmp_path / policy
        rest = ["--policy", policy, "--out", str(out)]
        done = subprocess.run(
            [*command, *rest], capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr
        memories[policy] = next(out.glob("*/memory.bin")).read_bytes()
        assert pd.read_csv(out / "summary.csv").exemplars.item() == 20
    assert memories["herding"] != memories["class-balanced"]


def test_a_limit_on_exemplars_gives_every_format_one_number_at_its_own_bytes(
    fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    command = ["run", "--data-root", str(fractals), *BASE, "--out", str(tmp_path)]
    limits = ["--max-exemplars", "15", "--memory-mb", "0.1"]
    formats = ["--format", "tokens", "jpeg:quality=5", "raw"]
    monkeypatch.setattr(sys, "argv", [*command, *limits, *formats])
    run_command(main)
    table = pd.read_csv(tmp_path / "summary.csv").set_index("format")
    assert table.exemplars.to_dict() == {"tokens": 15, "jpeg:quality=5,size=64": 15, "raw": 8}
    for row in table.itertuples():
        assert row.used_bytes == (tmp_path / row.run_id / "memory.bin").stat().st_size
    said = capsys.readouterr().out
    used = f"{table.used_bytes['tokens'] / 1e6:.6f} MB"
    assert f"0.1MB_max15_seed0: 15 exemplars, as --max-exemplars allows, take {used}" in said
    assert "--max-exemplars 15 did not bind: the memory holds 8; raise --memory-mb" in said
