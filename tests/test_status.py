"""`python -m seit_cl.status`, --dry-run and --only: which runs there are, and how far they are."""

import json
import os
import sys
from pathlib import Path

import pytest

from helpers.synthetic_runs import write_run
from seit_cl.core.cli import run_command
from seit_cl.core.errors import UserError
from seit_cl.core.locks import Holder, locked_folder
from seit_cl.results.planned import read_plans, write_plan
from seit_cl.results.run_writer import start_run, write_metadata
from seit_cl.results.states import RunState, seconds_left, state_line, summary_line
from seit_cl.run import main as run_main
from seit_cl.status import main


def test_the_runs_of_a_folder_are_listed_with_their_states(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = write_run(tmp_path)
    begun = write_run(tmp_path, seed=1, finish=False)
    failed = write_run(tmp_path, seed=2, finish=False)
    write_metadata(failed, {"status": "failed", "problem": "UserError: training diverged"})
    running = write_run(tmp_path, seed=3, finish=False)
    planned = tmp_path / "er-tokens-s4"
    write_plan(tmp_path, [finished, begun, failed, running, planned])
    with locked_folder(running) as lock:
        lock.report(0.25)
        main([str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"finished  {finished.name}: ")
    assert "%, 62 s of training" in lines[0]
    assert lines[1:3] == [
        f"waiting   {begun.name}: begun; it goes on from its last commit",
        f"failed    {failed.name}: UserError: training diverged",
    ]
    assert lines[3].startswith(f"running   {running.name}: 25 %, process {os.getpid()} on ")
    assert lines[4] == f"waiting   {planned.name}"
    assert lines[5] == "5 runs: 1 finished, 1 running, 1 failed, 2 waiting"


def test_the_time_left_is_that_of_the_runs_in_progress_and_of_those_that_wait() -> None:
    runs = [
        RunState("a", "finished", "", seconds=100),
        RunState("b", "running", "", seconds_left=20),
        RunState("c", "running", "", seconds_left=40),
        RunState("d", "waiting"),
        RunState("e", "waiting"),
    ]
    assert seconds_left(runs) == (20 + 40 + 2 * 100) / 2
    assert summary_line(runs) == "5 runs: 1 finished, 2 running, 2 waiting; about 2 min left"
    assert seconds_left(runs[:2]) == 20
    assert seconds_left(runs[1:]) is None  # nobody knows how long a run takes
    assert "no process is making runs here" in summary_line([runs[0], runs[3]])


def test_a_run_whose_pace_is_known_says_how_long_it_still_takes(tmp_path: Path) -> None:
    holder = Holder(7, "host", "then", began=0, share=0.5, reported=120)
    assert holder.seconds_left == 120
    line = state_line(RunState("a", "running", "50 %, about 2 min left"))
    assert line == "running   a: 50 %, about 2 min left"


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_without_runs_is_named(there: bool, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    if there:
        folder.mkdir()
    with pytest.raises(UserError, match=rf"{folder}: .*give the --out folder of runs"):
        main([str(folder)])


@pytest.mark.parametrize("name", ["/etc", "../elsewhere", "", 7])
def test_a_plan_leads_nowhere_else(name: object, tmp_path: Path) -> None:
    write_plan(tmp_path, [tmp_path / "run"])
    (path,) = tmp_path.glob(".planned-*.json")
    assert read_plans(tmp_path) == [tmp_path / "run"]
    path.write_bytes(path.read_bytes().replace(b"run", b"fun"))
    with pytest.raises(UserError, match="damaged"):
        read_plans(tmp_path)
    from seit_cl.core.digests import with_trailer

    path.write_bytes(with_trailer(json.dumps([name]).encode()))
    with pytest.raises(UserError, match="names no folders"):
        read_plans(tmp_path)


GRID = ["--strategy", "er", "naive", "--seed", "0", "1", "--memory-mb", "0.01"]


def printed(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[list[str], str]:
    """Lines and errors of `python -m seit_cl.run`."""
    monkeypatch.setattr(sys, "argv", ["run", *words])
    try:
        run_command(run_main)
    except SystemExit as end:
        assert end.code == 2
    output, error = capsys.readouterr()
    return output.splitlines(), error


def test_a_dry_run_lists_the_runs_with_their_states_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    lines, _ = printed([*GRID, "--dry-run", "--out", str(out)], monkeypatch, capsys)
    names = ["er_tokens_tokens_0.01MB_seed0", "er_tokens_tokens_0.01MB_seed1"]
    names += ["naive_tokens_seed0", "naive_tokens_seed1"]
    assert lines == [f"waiting   {name}" for name in names] + ["4 runs; --dry-run made none"]
    assert not out.exists()
    start_run(out / names[0], {}, {})
    lines, _ = printed([*GRID, "--dry-run", "--out", str(out)], monkeypatch, capsys)
    assert lines[0] == f"waiting   {names[0]}: begun; it goes on from its last commit"


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (["er_*"], ["er_tokens_tokens_0.01MB_seed0", "er_tokens_tokens_0.01MB_seed1"]),
        (
            ["naive", "er_*seed1"],
            ["er_tokens_tokens_0.01MB_seed1", "naive_tokens_seed0", "naive_tokens_seed1"],
        ),
    ],
)
def test_only_takes_the_runs_whose_names_match(
    patterns: list[str],
    kept: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [*GRID, "--dry-run", "--only", *patterns]
    lines, _ = printed(words, monkeypatch, capsys)
    assert [line.split()[1] for line in lines[:-1]] == kept


def test_a_pattern_without_a_run_is_named_with_a_name_that_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, error = printed([*GRID, "--only", "er_*", "icarl"], monkeypatch, capsys)
    assert lines == []
    assert error.startswith("error: --only icarl: no run has such a name; the first of 4 is er_")
