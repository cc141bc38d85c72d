"""`python -m seit_cl.run`: read the command line, run the grid's experiments, make the report."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from seit_cl.command_line import parse, preset_options
from seit_cl.core import torchrun
from seit_cl.core.cli import program, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.files import make_writable_folder
from seit_cl.core.importing import importing
from seit_cl.data.scenario_recipe import preset_text
from seit_cl.datasets._location import check_exists, location_name

if TYPE_CHECKING:
    from seit_cl.config import RunConfig

INTERRUPTED = 130  # exit code, as shells report SIGINT


def main() -> None:
    """Run the command.

    Raises:
        UserError: wrong options or data, or runs that failed.
    """
    options = parse(sys.argv[1:])
    if torchrun.count() > 1:
        _refuse_launcher(options)
    check_exists(options.data_root)
    # Imported now, since torch takes seconds: --help and wrong options are answered without it.
    with importing():
        from seit_cl.core.devices import choose_device, limit_threads
        from seit_cl.core.ranks import join, leave
        from seit_cl.grid import expand, run_grid, select
        from seit_cl.launch import Launch
        from seit_cl.results import run_files

    console = Console(soft_wrap=True)
    limit_threads()
    configs = select(expand(options), options.only)
    if options.dry_run:
        _print_runs(configs, options.out)
        return
    launch = Launch.of(options)
    ranks = join(choose_device(options.device))
    _print_defaults(options, console)
    out = options.out or Path(ranks.of_first(str(_default_out(options.data_root))))
    if ranks.is_first:
        make_writable_folder(out, "--out")
    try:
        command = f"{_called_as()} {shlex.join(sys.argv[1:])}"
        failures = run_grid(configs, out, console, options.tracker, launch, command, ranks=ranks)
    except KeyboardInterrupt:
        arguments = sys.argv[1:] if options.out else [*sys.argv[1:], "--out", str(out)]
        console.print(f"interrupted; this resumes: {_called_as()} {shlex.join(arguments)}")
        sys.exit(INTERRUPTED)
    finally:
        if ranks.is_first:
            with contextlib.suppress(OSError):
                out.rmdir()  # succeeds only where no run began
                if options.out is None:
                    out.parent.rmdir()
    leave(ranks)
    if not ranks.is_first:
        return
    if failures and not run_files.read_runs(out):
        raise UserError(failures[0])
    _print_results(out, options.data_root is None, console)
    if failures:
        missing = f"{len(failures)} of {len(configs)} runs are not finished"
        raise UserError(f"{missing}; the first: {failures[0]}")


def _print_runs(configs: Sequence[RunConfig], out: Path | None) -> None:
    """Print the runs of a grid with their states in the folder of the results.

    Args:
        configs: the runs.
        out: the folder; None where the command names none, so that all runs wait.
    """
    from seit_cl.grid import run_folder, run_id
    from seit_cl.results.states import RunState, state_line, state_of

    for config in configs:
        state = RunState(run_id(config), "waiting")
        if out is not None:
            folder = run_folder(out, config)
            state = state_of(folder, folder.name)
        print(state_line(state))
    print(f"{len(configs)} runs; --dry-run made none")


def _print_results(out: Path, built_in: bool, console: Console) -> None:
    """Write the report; print the table, the answer, the files, and what to run for an answer.

    Args:
        out: folder of the results.
        built_in: True for runs on the built-in images, which the command named last runs on too.
        console: where it is printed.
    """
    from seit_cl.reporting.build import write_report
    from seit_cl.reporting.closing import answer_lines, comparison_hint
    from seit_cl.reporting.loading import gather
    from seit_cl.reporting.summary import terminal_summary

    gathered = gather([out])
    report = write_report(gathered, out)
    terminal_summary(gathered.summary())
    lines = answer_lines(gathered.runs, out)
    hint = [] if lines or not built_in else comparison_hint(program("run"))
    for line in [*lines, f"results: {out / 'summary.csv'}; report: {report}", *hint]:
        console.print(line, markup=False, highlight=False)


def _refuse_launcher(options: Any) -> None:
    """Refuse runs beside one another in processes of torchrun.

    Raises:
        UserError: the command line asks for them.
    """
    given = f"--jobs {options.jobs}" if options.jobs > 1 else f"--launcher {options.launcher}"
    if options.jobs > 1 or options.launcher != "local":
        raise UserError(
            f"{given}: {torchrun.count()} processes of torchrun make each run together, one run "
            "after the other; drop it, or start without torchrun"
        )


def _called_as() -> str:
    """Spell the command as it was called, up to its options."""
    if torchrun.count() == 1:
        return program("run")
    return f"torchrun --nproc-per-node {torchrun.local_count()} -m seit_cl.run"


def _print_defaults(options: Any, console: Console) -> None:
    """Print the preset's options, and that the built-in images stand in for missing data."""
    if options.preset:
        names = preset_options(options.scenario)
        preset = {name: getattr(options, name) for name in names}
        console.print(f"--preset: {preset_text(preset)}")
    if options.data_root is None:
        console.print(
            "no --data-root: running on the built-in fractals; for ImageNet give --data-root DIR "
            "with train/<class>/* and val/<class>/*"
        )


def _default_out(data_root: Path | None) -> Path:
    """Name the folder of the results after the time and the data."""
    name = location_name(data_root) if data_root else "fractals"
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"


if __name__ == "__main__":
    run_command(main, several=True)
