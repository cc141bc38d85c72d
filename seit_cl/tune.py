"""Tune the learning rate and the hyperparameters of strategies off the evaluation stream.

Takes every option of `python -m seit_cl.run` in addition to its own. Every strategy, format,
learner and budget has the same number of trials, each a run for every seed in --out. The best
trial's options are written as a config, --out/tuned/NAME.yaml, beside a CSV of all trials. Finished
runs are skipped and interrupted ones resume, so the same command goes on, with more --trials too.
"""

from __future__ import annotations

import shlex
import sys

from rich.console import Console

from seit_cl.core.cli import program, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.extras import check_extra
from seit_cl.core.files import make_writable_folder
from seit_cl.core.importing import importing
from seit_cl.tuning.options import parse_options

INTERRUPTED = 130  # exit code, as shells report SIGINT


def main() -> None:
    """Run the command.

    Raises:
        UserError: wrong options or data, or runs that failed.
    """
    options, run_options = parse_options(sys.argv[1:], __doc__)
    check_extra("optuna", "tune", program("tune"))
    # Imported now, since torch takes seconds: --help and wrong options are answered without it.
    with importing():
        from seit_cl.core.devices import limit_threads
        from seit_cl.launch import Launch
        from seit_cl.tuning.data import prepare
        from seit_cl.tuning.search import list_searches
        from seit_cl.tuning.trials import run_trials
        from seit_cl.tuning.written import outcome_line, write_search

    console = Console(soft_wrap=True)
    limit_threads()
    command = f"{program('tune')} {shlex.join(sys.argv[1:])}"
    run_options, dataset = prepare(run_options, options)
    launch = Launch.of(run_options)
    searches = list_searches(run_options, options)
    make_writable_folder(run_options.out, "--out")
    try:
        run_trials(
            searches,
            options,
            console,
            run_options.tracker,
            launch,
            command,
            dataset,
        )
    except KeyboardInterrupt:
        console.print(f"interrupted; this resumes: {command}")
        sys.exit(INTERRUPTED)
    finally:
        configs = [write_search(search, command) for search in searches]
    for search in searches:
        console.print(outcome_line(search), highlight=False)
    console.print(f"configs and every trial: {run_options.out / 'tuned'}", highlight=False)
    if None in configs:
        failed = searches[configs.index(None)]
        raise UserError(f"{failed.name}: no trial finished; the first: {failed.trials[0].problem}")


if __name__ == "__main__":
    run_command(main)
