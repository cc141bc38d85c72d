"""`python -m seit_cl.status DIR`: the runs of a folder of results, and how long they still take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seit_cl.core.cli import LineParser, program, run_command
from seit_cl.core.importing import importing


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: words of the command line; None: those of the process.

    Raises:
        UserError: no folder of runs.
    """
    parser = LineParser(
        prog=program("status"),
        description="List the runs of a folder of results: finished, running (by which process, "
        "and how long still), failed, and waiting for a process.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="the --out folder of runs")
    folder = parser.parse_args(argv).dir
    # Imported now, since pandas takes a second.
    with importing():
        from seit_cl.results.states import read_states, state_line, summary_line

    states = read_states(folder)
    for state in states:
        print(state_line(state))
    print(summary_line(states))


if __name__ == "__main__":
    run_command(main)
