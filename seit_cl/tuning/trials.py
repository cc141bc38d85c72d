"""The runs of all trials, in an order in which every search has as many of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from seit_cl.config import RunConfig, TrackerKind
from seit_cl.data.base import Dataset
from seit_cl.grid import run_grid
from seit_cl.launch import Launch
from seit_cl.tuning.options import TuningOptions
from seit_cl.tuning.search import ADAPTIVE, Search, trial_folder


def run_trials(
    searches: Sequence[Search],
    options: TuningOptions,
    console: Console,
    tracker: TrackerKind,
    launch: Launch,
    command: str,
    dataset: Dataset | None = None,
) -> None:
    """Draw trials and run what is not finished, until every search has all of them.

    Args:
        searches: their trials are added.
        options: of tuning.
        console: gets messages and progress bars.
        tracker, launch: as in `run_grid`.
        command: the command line, for the records of the runs.
        dataset: if it is open already; None opens the one that the runs name.

    Raises:
        UserError: options that do not fit the data, or trials of other options or data.
    """
    at_once = 1 if options.sampler == ADAPTIVE else options.trials
    planned = 1
    while True:
        planned = min(planned + at_once, options.trials)
        for search in searches:
            search.extend(planned)
        _run(searches, console, tracker, launch, command, dataset)
        if planned == options.trials:
            return


def _run(
    searches: Sequence[Search],
    console: Console,
    tracker: TrackerKind,
    launch: Launch,
    command: str,
    dataset: Dataset | None,
) -> None:
    """Run the trials so far, the first ones of all searches first; failed ones are printed."""
    configs: list[RunConfig] = []
    for number in range(len(searches[0].trials)):
        for search in searches:
            configs += search.trials[number].configs
    configs = list(dict.fromkeys(configs))
    run_grid(
        configs, searches[0].out, console, tracker, launch, command, dataset, folder=trial_folder
    )
