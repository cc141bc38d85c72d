"""The grid of runs that options describe: its runs, their folders, and running them."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from seit_cl.config import GRID, RunConfig, TrackerKind, option_names
from seit_cl.core.errors import UserError
from seit_cl.core.locks import Held, require_free
from seit_cl.core.options import flag
from seit_cl.core.progress import progress_bars
from seit_cl.core.ranks import Ranks
from seit_cl.data.base import Dataset
from seit_cl.data.settings import CLASS_ORDER_SEED
from seit_cl.experiment.build import build_strategy, canonical_strategy
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.finished import is_finished, stored_options
from seit_cl.experiment.modality import MODALITIES
from seit_cl.experiment.remembering import choose_fill
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.shared_data import open_data
from seit_cl.formats import canonical_spec, format_domain
from seit_cl.launch import Launch
from seit_cl.launchers.bars import GridBars
from seit_cl.launchers.claims import Claims
from seit_cl.launchers.here import Here
from seit_cl.launchers.jobs import Job, Launcher
from seit_cl.launchers.opening import open_launcher
from seit_cl.models import canonical_model
from seit_cl.results.planned import write_plan
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


def select(configs: Sequence[RunConfig], patterns: Sequence[str]) -> list[RunConfig]:
    """The runs of a grid whose names match a pattern, as --only gives them.

    Args:
        configs: the grid's runs.
        patterns: of the shell for the whole name, such as "er_*_seed0"; a text without *, ? and [
            may stand anywhere in the name. None: all runs are taken.

    Raises:
        UserError: a pattern that no run's name matches.
    """
    if not patterns:
        return list(configs)
    names = {config: run_id(config) for config in configs}
    chosen: set[RunConfig] = set()
    for pattern in patterns:
        whole = pattern if re.search(r"[*?[]", pattern) else f"*{pattern}*"
        matching = [config for config, name in names.items() if fnmatch.fnmatchcase(name, whole)]
        if not matching:
            raise UserError(
                f"--only {pattern}: no run has such a name; the first of {len(names)} is "
                f"{next(iter(names.values()))} (--dry-run lists them)"
            )
        chosen.update(matching)
    return [config for config in configs if config in chosen]


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
    advice: bool = True,
) -> list[str]:
    """Run every unfinished run of a grid, after all of them are checked.

    Other processes may run the same grid in the same folder: each run is made by one of them.

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
        advice: print notes on budgets that did not bind, for a command that takes budgets.

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
    rows = _unfinished(folders, console) if ranks.is_first else []
    unfinished = {configs[row]: folders[configs[row]] for row in ranks.of_first(rows)}
    if not unfinished:
        return []
    with progress_bars(console) as bars:
        with ranks.first_before_others():
            shared = launch.shares_memory and not launch.in_this_process
            data = open_data(list(unfinished), out, bars, shared, dataset)
        experiments = {}
        for experiment in _build_experiments(unfinished, data, command, ranks):
            experiments[_job(experiment, tracker)] = experiment
        if ranks.is_first:
            write_plan(out, folders.values())
        observer = GridBars(bars, len(experiments), advice)
        claims = Claims(list(experiments), observer, ranks)
        _make(experiments, claims, observer, launch, data, out)
        left = claims.still_others()
        for line in left:
            console.print(f"left to another process: {line}", markup=False)
    return [*observer.problems, *left]


def _make(
    experiments: dict[Job, Experiment],
    claims: Claims,
    observer: GridBars,
    launch: Launch,
    data: RunData,
    out: Path,
) -> None:
    """Make the runs of a grid that no other process makes.

    Args:
        experiments: by run; let go where other processes build them again.
        claims: gives the runs out.
        observer: is told of them.
        launch: where they are made.
        data: of all runs.
        out: folder of the results.
    """

    def make_with(launcher: Launcher) -> None:
        launcher.run(claims.free(), observer)
        launcher.run(claims.left_over(), observer)

    if launch.in_this_process:
        here = Here(experiments)
        experiments.clear()
        make_with(here)
        return
    # A single run too: the number of threads, which the numbers depend on, is that of jobs.
    experiments.clear()
    with open_launcher(launch, data, out) as launcher:
        make_with(launcher)


def _unfinished(folders: Mapping[RunConfig, Path], console: Console) -> list[int]:
    """Find the runs that are not finished, by their number, and say how many others are.

    Raises:
        UserError: results of other options in a folder.
        Held: other processes are making all runs, so that nothing is left to be done.
    """
    rows = []
    for row, (config, run_dir) in enumerate(folders.items()):
        if not is_finished(config, run_dir):
            rows.append(row)
    finished = len(folders) - len(rows)
    if finished:
        console.print(f"{finished} of {len(folders)} runs are finished already")
    paths = list(folders.values())
    held = _held_by_others([paths[row] for row in rows])
    if held and len(held) == len(rows):
        if len(held) == 1:
            raise held[0]
        raise Held(f"other processes are making all {len(held)} runs; {held[0]}")
    if held:
        console.print(f"other processes are making {len(held)} of {len(rows)} runs")
    return rows


def _held_by_others(paths: Sequence[Path]) -> list[Held]:
    """The errors of the folders that other processes hold."""
    held = []
    for path in paths:
        try:
            require_free(path)
        except Held as error:
            held.append(error)
    return held


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
