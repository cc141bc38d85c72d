"""The grid of runs that options describe: its runs, their folders, and running them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

from seit_cl.config import GRID, RunConfig, TrackerKind, option_names
from seit_cl.core.errors import UserError
from seit_cl.core.locks import Held, require_free
from seit_cl.core.options import flag
from seit_cl.core.progress import progress_bars
from seit_cl.core.ranks import Ranks
from seit_cl.data.base import Dataset
from seit_cl.data.settings import CLASS_ORDER_SEED
from seit_cl.experiment.build import build_strategy, canonical_strategy
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.finished import is_finished, stored_options
from seit_cl.experiment.modality import MODALITIES
from seit_cl.experiment.observed_run import run_observed, share_done, status_line
from seit_cl.experiment.remembering import choose_fill
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.shared_data import open_data
from seit_cl.formats import canonical_spec, format_domain
from seit_cl.launch import Launch
from seit_cl.launchers.jobs import Ending, Job, Observer, Update
from seit_cl.launchers.opening import open_launcher
from seit_cl.models import canonical_model
from seit_cl.results.renamed import EARLIER_OPTIONS, spellings


def expand(options: Any) -> list[RunConfig]:
    """Expand options into the runs of their grid, each once.

    A dimension that cannot change a run has one value: a run without memory has no format and no
    budget.

    Args:
        options: as `parse` returns them.

    Raises:
        UserError: an option outside its range, a dimension without values, several class orders
            for a seed that --paired-orders gives one, or no runs at all.
    """
    runs: dict[RunConfig, RunConfig] = {}
    for config in _combinations(options):
        if build_strategy(config).exemplar_free or config.memory_mb == 0:
            config = replace(config, format="", memory_mb=0.0, max_exemplars=0)
        elif format_domain(config.format) not in MODALITIES[config.learner].replays:
            continue
        runs.setdefault(_canonical(config), config)
    if not runs:
        raise UserError(
            "--learner pixels cannot learn from tokens; add --format jpeg or raw, or use "
            "--learner tokens"
        )
    return list(runs.values())


def _combinations(options: Any) -> Iterator[RunConfig]:
    """One configuration for every combination of the grid's values.

    With --paired-orders the class order seed grows with the seed, so that an interval over seeds
    covers class orders too, at the cost of no further run.

    Raises:
        UserError: an option outside its range, a dimension without values, or --paired-orders with
            several class order seeds.
    """
    for name in GRID:
        if not getattr(options, name):
            raise UserError(f"{flag(name)}: give one value or several")
    orders = options.class_order_seed
    if options.paired_orders and len(orders) > 1:
        raise UserError(
            f"--paired-orders: --class-order-seed is that of seed 0; give one, not {len(orders)}"
        )
    others = {name: getattr(options, name) for name in option_names() if name not in GRID}
    dimensions = [getattr(options, name) for name in GRID]
    for values in itertools.product(*dimensions):
        config = RunConfig(**others, **dict(zip(GRID, values, strict=True)))
        if options.paired_orders:
            order = config.class_order_seed + config.seed
            config = replace(config, class_order_seed=order)
        yield config


def _canonical(config: RunConfig) -> RunConfig:
    """The configuration with canonical specs: equal for runs whose specs are equivalent."""
    canonical = replace(
        config, strategy=canonical_strategy(config), model=canonical_model(config.model)
    )
    if not config.format:
        return canonical
    return replace(canonical, format=canonical_spec(config.format))


def run_id(config: RunConfig) -> str:
    """Name the folder of a run after the dimensions of the grid.

    --fill is named where it is not the strategy's own, the class order where it is not the default.
    """
    strategy = build_strategy(config)
    fill = choose_fill(config, strategy)
    own_fill = choose_fill(replace(config, fill="default"), strategy)
    return _name(config, "" if fill == own_fill else f"fill-{fill}")


def _name(config: RunConfig, fill: str) -> str:
    """Name the folder of a run, with a part about --fill unless it is empty."""
    parts = [config.strategy, config.learner]
    if config.memory_mb:
        parts += [config.format, f"{config.memory_mb:.12g}MB"]
        if config.max_exemplars:
            parts.append(f"max{config.max_exemplars}")
    if fill:
        parts.append(fill)
    parts.append(f"seed{config.seed}")
    if config.class_order_seed != CLASS_ORDER_SEED:
        parts.append(f"order{config.class_order_seed}")
    if config.validation_fraction:
        parts.append(f"{config.test_on}-without{config.validation_fraction:g}")
    return "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", part).strip("-") for part in parts)


def run_folder(out: Path, config: RunConfig) -> Path:
    """The folder of a run in the folder of the results.

    An existing folder is used, even if its name has an earlier spelling of the format, or was made
    when there was no --fill, or when names had no class order.
    """
    spelled = [replace(config, format=spec) for spec in spellings(config.format)]
    folders = [out / run_id(one) for one in spelled]
    for folder in folders:
        if folder.exists():
            return folder
    if config.fill == EARLIER_OPTIONS["fill"]:
        for one in spelled:
            earlier = out / _name(one, "")
            if earlier.exists() and "fill" not in stored_options(earlier):
                return earlier
    earlier = out / run_id(replace(config, class_order_seed=CLASS_ORDER_SEED))
    has_this_order = stored_options(earlier).get("class_order_seed") == config.class_order_seed
    return earlier if has_this_order else folders[0]


def run_grid(
    configs: list[RunConfig],
    out: Path,
    console: Console,
    tracker: TrackerKind = "none",
    launch: Launch | None = None,
    command: str = "",
    dataset: Dataset | None = None,
    folder: Callable[[Path, RunConfig], Path] = run_folder,
    ranks: Ranks | None = None,
) -> list[str]:
    """Run every unfinished run of a grid, after all of them are checked.

    Args:
        configs: the grid's runs.
        out: folder of the results, with a folder for each run.
        console: gets messages and, if it is a terminal, progress bars.
        tracker: logs each run to TensorBoard or Weights & Biases.
        launch: where the runs are made; None: in this process, one after the other.
        command: the command line, for the records of the runs.
        dataset: if it is open already; None opens the one that the runs name.
        folder: names the folder of a run, given `out`.
        ranks: processes that make each run together, of which this is one; None: this one alone.
            A run that fails then ends the grid.

    Returns:
        One line for each run that failed with a UserError or whose process died, or that another
        process is still making; the other runs continue.

    Raises:
        UserError: options that do not fit the data, results of other options or data in `out`, or
            other processes that are making all of the runs.
    """
    launch = launch or Launch()
    ranks = ranks or Ranks()
    folders = {config: folder(out, config) for config in configs}
    left: dict[RunConfig, str] = {}
    rows: list[int] = []
    if ranks.is_first:
        unfinished, left = _plan(folders, console)
        rows = [configs.index(config) for config in unfinished]
    unfinished = [configs[row] for row in ranks.of_first(rows)]
    if not unfinished:
        return []
    shared = launch.shares_memory and not launch.in_this_process
    with progress_bars(console) as bars:
        with ranks.first_before_others():
            data = open_data(unfinished, out, bars, shared, dataset)
        experiments = _build_experiments(
            {config: folders[config] for config in unfinished}, data, command, ranks
        )
        grid_bars = _GridBars(bars, len(experiments))
        if launch.in_this_process:
            for experiment in experiments:
                _run_here(experiment, tracker, grid_bars)
        else:
            # A single run too: the number of threads, which the numbers depend on, is that of jobs.
            jobs = [_job(experiment, tracker) for experiment in experiments]
            experiments.clear()  # which the workers build again
            with open_launcher(launch, data, out) as launcher:
                launcher.run(jobs, grid_bars)
    problems = list(grid_bars.problems)
    for config, problem in left.items():
        if not is_finished(config, folders[config]):
            problems.append(problem)
    return problems


def _plan(
    folders: Mapping[RunConfig, Path], console: Console
) -> tuple[list[RunConfig], dict[RunConfig, str]]:
    """Find the runs that are to be made, and those that other processes make, with a line about
    each.

    Raises:
        UserError: results of other options in a folder, or other processes that make all runs.
    """
    unfinished = {}
    for config, run_dir in folders.items():
        if not is_finished(config, run_dir):
            unfinished[config] = run_dir
    finished = len(folders) - len(unfinished)
    if finished:
        console.print(f"{finished} of {len(folders)} runs are finished already")
    left = _runs_of_others(unfinished)
    for problem in left.values():
        console.print(f"left to another process: {problem}", markup=False)
    return [config for config in unfinished if config not in left], left


def _runs_of_others(folders: Mapping[RunConfig, Path]) -> dict[RunConfig, str]:
    """Find the runs that other processes are making, with a line about each.

    Raises:
        Held: all of them, so that nothing is left to be done.
    """
    left = {}
    for config, folder in folders.items():
        try:
            require_free(folder)
        except Held as held:
            if len(folders) == 1:
                raise
            left[config] = str(held)
    if left and len(left) == len(folders):
        raise Held(f"other processes are making all {len(left)} runs; {next(iter(left.values()))}")
    return left


def _build_experiments(
    folders: Mapping[RunConfig, Path], data: RunData, command: str, ranks: Ranks
) -> list[Experiment]:
    """Build all runs, which checks their options; runs that are equal on this data are built once.

    Args:
        folders: of the runs.
        data: of all runs.
        command: the command line, for the records of the runs.
        ranks: processes that make each run together.

    Raises:
        UserError: options that do not fit the data.
    """
    experiments: dict[RunConfig, Experiment] = {}
    for config, folder in folders.items():
        experiment = Experiment(config, data, folder, command, ranks=ranks)
        spec = "" if experiment.memory is None else experiment.memory.fmt.spec
        experiments.setdefault(replace(config, format=spec), experiment)
    return list(experiments.values())


def _job(experiment: Experiment, tracker: TrackerKind) -> Job:
    return Job(experiment.config, experiment.run_dir, experiment.command, tracker)


def _run_here(experiment: Experiment, tracker: TrackerKind, observer: Observer) -> None:
    """Run an experiment in this process."""
    job = _job(experiment, tracker)

    def on_step(info: StepInfo) -> None:
        observer.update(job, Update(share_done(info), status_line(experiment, info)))

    observer.begin(job)
    try:
        ending = Ending(tuple(run_observed(experiment, tracker, on_step)))
    except UserError as error:
        if experiment.ranks.several:  # which may be at different places
            raise
        ending = Ending(problem=str(error))
    observer.end(job, ending)


class _GridBars:
    """A bar for every run in progress, and one that counts the runs of the grid.

    Args:
        bars: where they are drawn; their console gets what is said about runs that end.
        count: number of runs.
    """

    def __init__(self, bars: Progress, count: int) -> None:
        self._bars = bars
        self._grid_task = bars.add_task(f"{count} runs", total=count, visible=count > 1)
        self._titles: dict[Job, str] = {}
        self._tasks: dict[Job, TaskID] = {}
        self._shares: dict[Job, float] = {}
        self.problems: list[str] = []  # of the runs that failed

    def begin(self, job: Job) -> None:
        """Add the bar of a run."""
        title = f"run {len(self._titles) + 1}"
        self._titles[job] = title
        self._tasks[job] = self._bars.add_task(title, total=1.0)
        if self._bars.console.is_terminal:
            self._bars.console.print(f"{title}: {job.run_dir.name}", markup=False)

    def update(self, job: Job, update: Update) -> None:
        """Move the bar of a run, and that of the grid."""
        text = f"{self._titles[job]}: {update.text}"
        self._bars.update(self._tasks[job], completed=update.share, description=text)
        self._count(job, update.share)

    def end(self, job: Job, ending: Ending) -> None:
        """Remove the bar of a run and print what it has ended with."""
        self._bars.remove_task(self._tasks[job])
        self._count(job, 1.0)
        console = self._bars.console
        for note in ending.notes:
            console.print(f"{job.run_dir.name}: {note}")
        if ending.problem:
            self.problems.append(ending.problem)
            console.print(f"error: {ending.problem}", markup=False)

    def _count(self, job: Job, share: float) -> None:
        self._shares[job] = share
        self._bars.update(self._grid_task, completed=sum(self._shares.values()))
