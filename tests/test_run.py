"""The command line: grids, results, resume after SIGKILL, and one line for bad input."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from seit_cl.command_line import parse
from seit_cl.core.errors import UserError
from seit_cl.core.machine import torch_threads
from seit_cl.grid import expand, run_grid
from seit_cl.results.summary import rebuild_summary
from seit_cl.run import main

BASE = ["--experiences", "2", "--epochs", "1", "--batch", "16", "--replay-batch", "8"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "seit_cl.run", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=280, check=False
    )


def numbers(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "summary.csv").drop(columns="train_seconds")


@pytest.mark.slow
def test_a_grid_writes_results_and_skips_what_is_finished(fractals: Path, tmp_path: Path) -> None:
    grid = [
        "--data-root",
        str(fractals),
        "--memory-mb",
        "0.003",
        "--format",
        "jpeg",
        "tokens",
        "--strategy",
        "er",
        "naive",
        "joint",
        "cumulative",
        *BASE,
        "--out",
        str(tmp_path / "out"),
    ]
    done = run(*grid)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert sorted(summary.strategy) == ["cumulative", "er", "er", "joint", "naive"]
    assert (summary.status == "finished").all()
    er = summary[summary.strategy == "er"]
    assert (er.used_bytes <= er.memory_bytes).all()
    assert er.steps.nunique() == 1
    for folder in (tmp_path / "out").glob("er_*"):
        assert (folder / "memory.bin").stat().st_size == pd.Series(
            er.used_bytes[er.run_id == folder.name]
        ).item()
    assert (tmp_path / "out" / "report.html").exists()
    again = run(*grid)
    assert "5 of 5 runs are finished already" in again.stdout


@pytest.mark.slow
def test_a_killed_run_ends_with_the_numbers_of_one_never_killed(
    fractals: Path, tmp_path: Path
) -> None:
    options = [
        "--data-root",
        str(fractals),
        "--memory-mb",
        "0.003",
        *BASE,
        "--experiences",
        "4",
        "--epochs",
        "3",
    ]
    whole = run(*options, "--out", str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    cut = tmp_path / "cut"
    process = subprocess.Popen(
        command(*options, "--out", str(cut)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(cut.glob("*/checkpoint.pt")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = run(*options, "--out", str(cut))
    assert resumed.returncode == 0, resumed.stderr
    pd.testing.assert_frame_equal(numbers(cut), numbers(tmp_path / "whole"))
    folders = [next(p.glob("er_*")) for p in (cut, tmp_path / "whole")]
    assert (
        folders[0].joinpath("memory.bin").read_bytes()
        == folders[1].joinpath("memory.bin").read_bytes()
    )
    assert (
        folders[0].joinpath("accuracy.csv").read_bytes()
        == folders[1].joinpath("accuracy.csv").read_bytes()
    )


def group_ends(group: int) -> bool:
    """Wait for the processes of a group to end, up to 20 seconds; False if any goes on."""
    deadline = time.monotonic() + 20  # the system takes its time to remove them
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def heed_interrupts() -> None:
    """Undo what a shell does to a command in the background, tests included: it ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@pytest.mark.slow
def test_ctrl_c_stops_all_jobs_and_their_runs_can_be_resumed(
    fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = ["--data-root", str(fractals), "--memory-mb", "0.003", "--seed", "0", "1", *BASE]
    options += ["--experiences", "4", "--epochs", "3"]
    cut = tmp_path / "cut"
    process = subprocess.Popen(
        command(*options, "--jobs", "2", "--out", str(cut)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    while process.poll() is None and not list(cut.glob("*/checkpoint.pt")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, workers included
    printed, errors = process.communicate()
    assert process.returncode == 130
    assert errors == ""
    assert printed.splitlines()[-1].startswith("interrupted; this resumes: ")
    assert group_ends(process.pid)
    with torch_threads(1):
        for out in (cut, tmp_path / "whole"):
            assert run_grid(expand(parse(options)), out, Console(quiet=True)) == []
            rebuild_summary(out)
    pd.testing.assert_frame_equal(numbers(cut), numbers(tmp_path / "whole"))


def test_bad_input_ends_the_command_with_one_line_and_exit_code_2(
    fractals: Path, tmp_path: Path
) -> None:
    done = run("--data-root", str(fractals), "--format", "tokns", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and "tokns" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--memory-bm", "1"], ["--memory-bm", "--memory-mb"]),
        (["--format", "tokns"], ["tokns", "tokens"]),
        (["--format", "jpeg:qality=3"], ["qality", "quality"]),
        (["--strategy", "err"], ["err", "er"]),
        (["--data-root", "no/such/folder"], ["no/such/folder"]),
        (["--memory-mb", "0.000001"], ["bytes"]),
        (["--learner", "pixels", "--format", "tokens"], ["pixels", "jpeg"]),
        (["--experiences", "99"], ["99", "--experiences"]),
        (["--jobs", "0"], ["--jobs 0", "at least 1"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    arguments: list[str],
    words: list[str],
    fractals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = [] if "--data-root" in arguments else ["--data-root", str(fractals)]
    line = ["run", *root, *arguments, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(UserError) as refusal:
        main()
    assert all(word in str(refusal.value) for word in words), refusal.value
    assert len(str(refusal.value).splitlines()) == 1


def test_a_path_that_leads_nowhere_is_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run", "--data-root", "nowhere", "--memory-mb", "1"])
    with pytest.raises(UserError, match="nowhere: no such folder or file; give the folder"):
        main()
    assert not list(tmp_path.iterdir())
