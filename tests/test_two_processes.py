"""Two processes and one folder of results: a run is made by one of them, and the other says so."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from helpers.colour_stream import OPTIONS, write_colours
from seit_cl.command_line import parse
from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.locks import NAME, locked_folder
from seit_cl.grid import expand, run_folder, run_grid
from seit_cl.results.run_files import read_run, read_runs
from seit_cl.run import main

WORDS = "--experiences 2 --epochs 1 --batch 16 --memory-mb 0.002 --device cpu"


def words(root: Path, out: Path, *more: str) -> list[str]:
    return [*WORDS.split(), "--data-root", str(root), "--out", str(out), *more]


def test_a_run_that_another_process_makes_ends_with_one_line_that_names_it(
    fractals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = words(fractals, tmp_path)
    (config,) = expand(parse(arguments))
    folder = run_folder(tmp_path, config)
    folder.mkdir()
    monkeypatch.setattr(sys, "argv", ["run", *arguments])
    with locked_folder(folder), pytest.raises(SystemExit) as end:
        run_command(main)
    output, error = capsys.readouterr()
    assert end.value.code == 2
    assert output == ""
    (line,) = error.splitlines()
    assert f"{folder.name}: process {os.getpid()} on {os.uname().nodename} (since 2" in line


def test_in_a_grid_it_is_left_to_the_other_process_and_named(
    fractals: Path, tmp_path: Path
) -> None:
    configs = expand(parse(words(fractals, tmp_path, "--seed", "0", "1")))
    folders = [run_folder(tmp_path, config) for config in configs]
    folders[0].mkdir()
    console = Console(record=True, soft_wrap=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with locked_folder(folders[0]):
        (problem,) = run_grid(configs, tmp_path, console)
    assert f"{folders[0].name}: process {os.getpid()}" in problem
    assert f"left to another process: {problem}" in console.export_text()
    assert [run.run_id for run in read_runs(tmp_path)] == [folders[1].name]
    assert not (folders[1] / NAME).exists()


class WhenPrinted(io.StringIO):
    """Output that calls a function when a text is printed.

    Args:
        text: as it begins a line.
        then: called at its first occurrence.
    """

    def __init__(self, text: str, then: Callable[[], None]) -> None:
        super().__init__()
        self._text = text
        self._then = then

    def write(self, written: str) -> int:
        """Keep the text, and call the function if it is the one."""
        if written.startswith(self._text):
            self._then()
        return super().write(written)


def colour_runs(root: Path, seeds: int) -> list[RunConfig]:
    """Runs of a second each."""
    return [RunConfig(data_root=root, seed=seed, **OPTIONS) for seed in range(seeds)]


def test_a_run_that_another_process_leaves_unfinished_is_taken_up_at_the_end(
    tmp_path: Path,
) -> None:
    configs = colour_runs(write_colours(tmp_path / "data"), 2)
    out = tmp_path / "out"
    folders = [run_folder(out, config) for config in configs]
    folders[0].mkdir(parents=True)
    with ExitStack() as stack:
        stack.enter_context(locked_folder(folders[0]))
        output = WhenPrinted("1 of 2", stack.close)
        assert run_grid(configs, out, Console(soft_wrap=True, file=output)) == []
    lines = output.getvalue().splitlines()
    assert "other processes are making 1 of 2 runs" in lines
    ended = [line.split(": ")[:2] for line in lines if " of 2: " in line]
    assert ended == [["1 of 2", folders[1].name], ["2 of 2", folders[0].name]]
    (of_first,) = [line for line in lines if line.startswith("1 of 2: ")]
    assert re.search(r": \d+\.\d %, \d+ s of training; about \d+ s left$", of_first)


def test_two_that_make_one_grid_share_its_runs(tmp_path: Path) -> None:
    configs = colour_runs(write_colours(tmp_path / "data"), 5)
    out = tmp_path / "out"

    def make() -> list[str]:
        return run_grid(configs, out, Console(quiet=True))

    with ThreadPoolExecutor() as threads:
        left = [other.result() for other in [threads.submit(make), threads.submit(make)]]
    assert sorted(map(len, left)) in ([0, 0], [0, 1])  # the last run is still made by one of them
    for config in configs:
        folder = run_folder(out, config)
        assert read_run(folder).status == "finished"
        assert (folder / "log.txt").read_text().count("starts with experience") == 1


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    command = [sys.executable, "-m", "seit_cl.run", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.slow
def test_of_two_processes_the_second_names_the_first_and_the_first_ends_its_run(
    fractals: Path, tmp_path: Path
) -> None:
    arguments = words(fractals, tmp_path)
    (config,) = expand(parse(arguments))
    folder = run_folder(tmp_path, config)
    first = start(arguments)
    while not (folder / NAME).exists():
        assert first.poll() is None
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        holder = f"{folder.name}: process {first.pid} on {os.uname().nodename} (since 2"
        second = start(arguments)
        output, error = second.communicate(timeout=280)
        assert (second.returncode, output) == (2, "")
        (line,) = error.splitlines()
        assert holder in line
        grid = start([*arguments, "--seed", "0", "1", "--jobs", "2"])
        output, error = grid.communicate(timeout=280)
        assert holder in output
        (line,) = error.splitlines()
        assert grid.returncode == 2
        assert "1 of 2 runs are not finished" in line
        assert holder in line
    finally:
        os.kill(first.pid, signal.SIGCONT)
    first.communicate(timeout=280)
    assert first.returncode == 0
    assert [run.status for run in read_runs(tmp_path)] == ["finished", "finished"]
