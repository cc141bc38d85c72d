"""States of the runs in a folder of results: finished, running, failed or waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seit_cl.core.errors import UserError
from seit_cl.core.locks import Holder, holder_of
from seit_cl.core.numbers import duration
from seit_cl.results.outcome import outcome_text
from seit_cl.results.planned import read_plans
from seit_cl.results.run_files import Run, read_run

State = Literal["finished", "running", "failed", "waiting"]
STATES: tuple[State, ...] = ("finished", "running", "failed", "waiting")


@dataclass(frozen=True)
class RunState:
    """The state of one run.

    Args:
        name: of its folder in the folder of results.
        state: one of STATES.
        about: its outcome, the process that makes it, or why it failed; "" if there is nothing to
            say.
        seconds: training took, of a finished run; None where it is not known.
        seconds_left: of a run in progress; None where its pace is not known yet.
    """

    name: str
    state: State
    about: str = ""
    seconds: float | None = None
    seconds_left: float | None = None


def read_states(out: Path) -> list[RunState]:
    """Find the runs of a folder of results, those that are planned first, with their states.

    Raises:
        UserError: no such folder, or one without runs.
    """
    if not out.is_dir():
        raise UserError(f"{out}: no such folder; give the --out folder of runs")
    begun = [config.parent for config in sorted(out.glob("*/config.yaml"))]
    folders = dict.fromkeys([*read_plans(out), *begun])
    if not folders:
        raise UserError(f"{out}: holds no runs; give the --out folder of runs")
    return [state_of(folder, folder.relative_to(out).as_posix()) for folder in folders]


def state_of(folder: Path, name: str) -> RunState:
    """Find the state of a run, whose folder need not exist.

    Args:
        folder: of the run.
        name: for the state.
    """
    holder = holder_of(folder)
    if holder is not None:
        return _running(name, holder)
    if not (folder / "config.yaml").is_file():
        return RunState(name, "waiting")
    run = read_run(folder)
    if run.status == "finished":
        return RunState(name, "finished", outcome_text(run), _seconds(run))
    if run.status == "failed":
        return RunState(name, "failed", run.problem)
    return RunState(name, "waiting", "begun; it goes on from its last commit")


def _running(name: str, holder: Holder | str) -> RunState:
    if isinstance(holder, str):
        return RunState(name, "running", holder)
    left = holder.seconds_left
    about = f"{100 * holder.share:.0f} %, {holder}"
    if left is not None:
        about = f"{100 * holder.share:.0f} %, about {duration(left)} left, {holder}"
    return RunState(name, "running", about, seconds_left=left)


def _seconds(run: Run) -> float | None:
    seconds = run.metadata.get("train_seconds")
    return float(seconds) if isinstance(seconds, int | float) else None


def seconds_left(states: Sequence[RunState]) -> float | None:
    """Time until all runs are made, by as many processes as make runs now.

    A run that waits takes as long as a finished one on average.

    Returns:
        None where no process makes a run, or no pace is known.
    """
    running = [state for state in states if state.state == "running"]
    known = [state.seconds for state in states if state.seconds is not None]
    paces = [state.seconds_left for state in running if state.seconds_left is not None]
    waiting = sum(state.state == "waiting" for state in states)
    if not paces or (waiting and not known):
        return None
    rest = sum(paces) * len(running) / len(paces)
    if waiting:
        rest += waiting * sum(known) / len(known)
    return max(max(paces), rest / len(running))


def state_line(state: RunState) -> str:
    """The line of one run: its state, its name and what there is to say."""
    about = f": {state.about}" if state.about else ""
    return f"{state.state:8}  {state.name}{about}"


def summary_line(states: Sequence[RunState]) -> str:
    """The numbers of runs in each state, and the time until all are made."""
    counts = Counter(state.state for state in states)
    parts = [f"{counts[name]} {name}" for name in STATES if counts[name]]
    line = f"{len(states)} runs: {', '.join(parts)}"
    if counts["running"] == 0 and counts["waiting"]:
        return f"{line}; no process is making runs here: the same command goes on with them"
    left = seconds_left(states)
    return line if left is None else f"{line}; about {duration(left)} left"
