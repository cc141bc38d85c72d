"""Runs and their results as functions: what the commands do, for scripts and notebooks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, overload

import pandas as pd
from rich.console import Console

from seit_cl import grid
from seit_cl.config import GRID, RunConfig, option_names
from seit_cl.core.devices import limit_threads
from seit_cl.core.errors import UserError, nearest
from seit_cl.core.files import make_writable_folder
from seit_cl.core.plugins import spec_of
from seit_cl.data.base import Dataset
from seit_cl.launch import Launch
from seit_cl.models._handed import ModelSource, hand_over
from seit_cl.reporting import build as reporting
from seit_cl.results import metrics, run_files
from seit_cl.results.summary import summarise, summary_row

if TYPE_CHECKING:
    from seit_cl.data.scenario_recipe import ScenarioRecipe
    from seit_cl.learner.strategy import Strategy
    from seit_cl.memory.buffer import ByteBudgetBuffer

COMMAND = "Python"  # in environment.json, where the command line writes its own


class RunResult:
    """A run's folder as values: accuracies, facts and memory.

    Args:
        run: as read back.
    """

    def __init__(self, run: run_files.Run) -> None:
        self.run = run

    def __repr__(self) -> str:
        accuracy = f"final accuracy {100 * self.final_accuracy:.1f} %"
        return f"<{self.run.run_id}: {self.status}, {accuracy}>"

    @property
    def path(self) -> Path:
        """Folder of the run."""
        return self.run.path

    @property
    def status(self) -> str:
        """One of "finished", "running" and "failed"."""
        return self.run.status

    @property
    def final_accuracy(self) -> float:
        """Accuracy over all test samples after the last experience, a fraction."""
        return metrics.final_accuracy(self.frame)

    @property
    def accuracies(self) -> list[float]:
        """Accuracy after each experience over the classes seen so far, fractions."""
        return [float(value) for value in metrics.accuracy_seen(self.frame)]

    @property
    def frame(self) -> pd.DataFrame:
        """Rows of accuracy.csv: after_experience, experience, class, correct, total."""
        return self.run.accuracy

    @property
    def top5_accuracy(self) -> float:
        """Share of the test samples whose class is among the five likeliest in the end.

        Nan with up to 10 classes, and for results of earlier versions.
        """
        return metrics.final_top5_accuracy(self.frame)

    @property
    def confusion(self) -> pd.DataFrame:
        """Rows of confusion.csv, of the last test: class, predicted, count.

        Empty for results of earlier versions.
        """
        return self.run.confusion

    @property
    def losses(self) -> pd.DataFrame:
        """Rows of losses.csv, the mean loss of every epoch: experience, epoch, steps, loss.

        Empty for results of earlier versions, and for a strategy without training steps.
        """
        return self.run.losses

    @property
    def facts(self) -> dict[str, Any]:
        """Values of facts.json: exemplars, bytes, seconds and others."""
        return self.run.metadata

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The run's row of summary.csv, with every metric."""
        return summary_row(self.run)

    @property
    def memory_file(self) -> Path | None:
        """File of the memory; None for a run without one, or an unfinished run."""
        path = self.path / "memory.bin"
        return path if path.exists() else None

    def memory(self, **options: Any) -> ByteBudgetBuffer:
        """Load the memory at the end of the run.

        Args:
            options: for `ByteBudgetBuffer.load`: transform, device, tokenizer.

        Raises:
            UserError: there is none, or its file is damaged.
        """
        from seit_cl.memory.buffer import ByteBudgetBuffer

        if self.memory_file is None:
            raise UserError(f"{self.path}: no memory.bin; the run has no memory or did not finish")
        return ByteBudgetBuffer.load(self.memory_file, **options)


class Results(Sequence[RunResult]):
    """Results of several runs.

    Args:
        runs: as read back.
        problems: one line for each run that failed.
    """

    def __init__(self, runs: Iterable[run_files.Run], problems: Sequence[str] = ()) -> None:
        self._results = [RunResult(run) for run in runs]
        self.problems = list(problems)

    def __len__(self) -> int:
        return len(self._results)

    @overload
    def __getitem__(self, index: int) -> RunResult: ...

    @overload
    def __getitem__(self, index: slice) -> list[RunResult]: ...

    def __getitem__(self, index: int | slice) -> RunResult | list[RunResult]:
        return self._results[index]

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self._results)

    def frame(self) -> pd.DataFrame:
        """Return a row for every run: the columns of summary.csv, with every metric."""
        return summarise(result.run for result in self._results)


def run_experiment(
    config: RunConfig | None = None,
    out: str | Path | None = None,
    *,
    model: ModelSource | str | None = None,
    dataset: Dataset | None = None,
    strategy: type[Strategy] | str | None = None,
    scenario: type[ScenarioRecipe] | str | None = None,
    progress: bool = False,
) -> RunResult:
    """Run one experiment, or read its results where it has been run already.

    It has the files and numbers of `python -m seit_cl.run`, and resumes an interrupted run alike.

    Args:
        config: options of the run; None: all defaults, on the built-in fractals.
        out: folder of the results, in which the run has a folder; None: runs/<time>.
        model: a network, a function that makes one (`hand_over`), or a spec.
        dataset: in place of `config.data_root`, e.g. from `from_torch`.
        strategy: a subclass of `Strategy` with its defaults (`spec_of` sets options), or a spec.
        scenario: a subclass of `ScenarioRecipe`, or a spec.
        progress: print what the command prints, with progress bars on a terminal.

    Raises:
        UserError: options that do not fit the data, or a run that failed.
    """
    config = config or RunConfig()
    if strategy is not None:
        config = replace(config, strategy=_plugin_spec(strategy))
    if scenario is not None:
        config = replace(config, scenario=_plugin_spec(scenario))
    if model is not None:
        config = replace(config, model=model if isinstance(model, str) else hand_over(model))
    results = run_grid([config], out, dataset=dataset, progress=progress)
    if results.problems:
        raise UserError(results.problems[0])
    return results[0]


def run_grid(
    configs: RunConfig | Iterable[RunConfig],
    out: str | Path | None = None,
    *,
    jobs: int = 1,
    dataset: Dataset | None = None,
    progress: bool = False,
    paired_orders: bool = False,
    **dimensions: Iterable[Any],
) -> Results:
    """Run experiments that share their data, and go on where some have been run already.

    Args:
        configs: the runs; or one, whose options in `dimensions` are varied.
        out: folder of the results, with a folder for every run; None: runs/<time>.
        jobs: number of runs beside one another; above 1, each is in a process of its own.
        dataset: in place of `data_root`.
        progress: print what the command prints, with progress bars on a terminal.
        paired_orders: give every seed a class order of its own, that of class_order_seed + seed.
        dimensions: values of strategy, format, memory_mb, learner, seed or class_order_seed; every
            combination is a run.

    Returns:
        The results in the order of the runs. A run that failed has a line in `problems`.

    Raises:
        UserError: options that do not fit the data, another dimension, or results of other options
            or data in `out`.
    """
    bases = [configs] if isinstance(configs, RunConfig) else list(configs)
    varied = {name: tuple(values) for name, values in dimensions.items()}
    for name in varied:
        if name not in GRID:
            raise UserError(f"{name}: not a dimension of a grid; {nearest(name, GRID)}")
    if "strategy" in varied:
        varied["strategy"] = tuple(_plugin_spec(value) for value in varied["strategy"])
    runs: list[RunConfig] = []
    for base in bases:
        runs += grid.expand(_grid_options(base, varied, paired_orders))
    if out == "":
        raise UserError("out='': is empty; give the folder of the results, '.' for this one")
    folder = Path(out) if out is not None else Path("runs") / time.strftime("%Y%m%d-%H%M%S")
    make_writable_folder(folder, "out")
    limit_threads()
    console = Console(soft_wrap=True, quiet=not progress)
    problems = grid.run_grid(
        runs, folder, console, launch=Launch(jobs=jobs), command=COMMAND, dataset=dataset
    )
    folders = dict.fromkeys(grid.run_folder(folder, run) for run in runs)
    made = [path for path in folders if (path / "config.yaml").exists()]
    return Results((run_files.read_run(path) for path in made), problems)


def read_runs(folder: str | Path) -> Results:
    """Read all runs of a folder of results, in the order of their names.

    Raises:
        UserError: no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of earlier runs")
    return Results(run_files.read_runs(Path(folder)))


def build_report(folder: str | Path) -> Path:
    """Write summary.csv, figures, tables and report.html into a folder of results.

    Returns:
        The path of report.html.

    Raises:
        UserError: no such folder, one without runs, or a run's own folder.
    """
    return reporting.build_report(Path(folder))


def _plugin_spec(plugin: type[Any] | str) -> str:
    """Return the spec of a plugin that is given as a class or as its spec."""
    return plugin if isinstance(plugin, str) else spec_of(plugin)


def _grid_options(
    config: RunConfig, varied: dict[str, tuple[Any, ...]], paired_orders: bool
) -> SimpleNamespace:
    """Return the options of a grid, as a command line gives them."""
    options = SimpleNamespace(paired_orders=paired_orders)
    for name in option_names():
        value = getattr(config, name)
        setattr(options, name, varied.get(name, (value,)) if name in GRID else value)
    return options
