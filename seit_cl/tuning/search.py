"""A search: the trials of one strategy, format, learner and budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.specs import Spec, spec_text
from seit_cl.grid import expand, run_id
from seit_cl.learner.search_space import LogUniform, SearchRange, search_ranges
from seit_cl.results.metrics import METRICS
from seit_cl.results.run_files import Run, read_run
from seit_cl.tuning.options import TuningOptions
from seit_cl.tuning.sampling import Values, propose

RATE = "learning_rate"
ADAPTIVE = "tpe"  # the sampler that learns from the scores
RUNS = "trials"  # folder of the runs, in --out


def trial_folder(out: Path, config: RunConfig) -> Path:
    """The folder of a run: its name has what trials differ by, the learning rate included."""
    return out / RUNS / f"{run_id(config)}_lr{config.learning_rate:g}"


@dataclass(frozen=True)
class Trial:
    """Values of the hyperparameters, and the runs with them.

    Args:
        number: its place among the trials, from 0.
        values: by the names of hyperparameters.
        configs: a run for every seed and class order.
        out: folder of the results.
    """

    number: int
    values: Values
    configs: tuple[RunConfig, ...]
    out: Path

    def runs(self) -> list[Run]:
        """The runs that have begun, as read back."""
        folders = [trial_folder(self.out, config) for config in self.configs]
        return [read_run(folder) for folder in folders if (folder / "config.yaml").exists()]

    def scores(self, metric: str) -> list[float]:
        """A metric of every run; nan for an unfinished one."""
        scores = []
        for config in self.configs:
            folder = trial_folder(self.out, config)
            score = math.nan
            if (folder / "config.yaml").exists():
                run = read_run(folder)
                if run.status == "finished":
                    score = METRICS[metric](run.accuracy)
            scores.append(score)
        return scores

    def score(self, metric: str) -> float:
        """The mean of a metric over the runs; nan where one of them is unfinished."""
        return sum(self.scores(metric)) / len(self.configs)

    @property
    def problem(self) -> str:
        """The reason why a run of the trial failed; "" where none did."""
        return next((run.problem for run in self.runs() if run.status == "failed"), "")


@dataclass
class Search:
    """The trials of one strategy, format, learner and budget.

    Hyperparameters that the strategy's spec sets keep their values.

    Args:
        configs: of the first trial: the defaults, with every seed and class order.
        options: of tuning.
        out: folder of the results.
    """

    configs: Sequence[RunConfig]
    options: TuningOptions
    out: Path
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Add the first trial."""
        defaults: Values = {RATE: self.config.learning_rate}
        options = Spec.parse(self.config.strategy).fill(self._strategy.Options)
        for name in self.ranges:
            if name != RATE:
                defaults[name] = getattr(options, name)
        self._add(defaults)

    @property
    def config(self) -> RunConfig:
        """The first run of the first trial."""
        return self.configs[0]

    @property
    def name(self) -> str:
        """Name of its files: that of its runs, without seed and class order."""
        config = replace(self.config, class_order_seed=RunConfig.class_order_seed)
        return run_id(config).replace(f"_seed{config.seed}", "")

    @property
    def _strategy(self) -> Any:
        """The strategy's class."""
        return plugins.load("strategy", Spec.parse(self.config.strategy).name)

    @cached_property
    def ranges(self) -> dict[str, SearchRange]:
        """Ranges of the learning rate and of the hyperparameters that the spec leaves open."""
        given = Spec.parse(self.config.strategy).options
        ranges: dict[str, SearchRange] = {RATE: LogUniform(*self.options.rates)}
        for name, within in search_ranges(self._strategy.Options).items():
            if name not in given:
                ranges[name] = within
        return ranges

    def extend(self, count: int) -> None:
        """Add trials until there are so many; for tpe, those so far are finished or have failed."""
        sampler = self.options.sampler
        seed = self.options.sampler_seed
        history = [(self.trials[0].values, 0.0)]
        if sampler == ADAPTIVE:
            history = self.finished()
            seed += len(self.trials)  # another one for each, since the sampler starts anew
        for values in propose(self.ranges, history, count - len(self.trials), sampler, seed):
            self._add(values)

    def finished(self) -> list[tuple[Values, float]]:
        """Values and scores of the finished trials."""
        history = []
        for trial in self.trials:
            score = trial.score(self.options.objective)
            if not math.isnan(score):
                history.append((trial.values, score))
        return history

    def best(self) -> Trial | None:
        """The finished trial of the largest score, the first one of equals; None where none is."""
        objective = self.options.objective
        best = None
        best_score = -math.inf
        for trial in self.trials:
            score = trial.score(objective)
            if score > best_score:
                best, best_score = trial, score
        return best

    def _add(self, values: Values) -> None:
        """Add a trial with a run for every seed and class order."""
        spec = Spec.parse(self.config.strategy)
        chosen = dict(spec.options)
        for name, value in values.items():
            if name != RATE:
                chosen[name] = str(value)
        strategy = spec_text(spec.name, spec.argument, chosen)
        configs: list[RunConfig] = []
        for config in self.configs:
            configs.append(replace(config, strategy=strategy, learning_rate=values[RATE]))
        self.trials.append(Trial(len(self.trials), values, tuple(configs), self.out))


def list_searches(run_options: Any, options: TuningOptions) -> list[Search]:
    """Return a search for every strategy, format, learner and budget.

    Args:
        run_options: as `parse` returns them; every trial has their seeds and class orders.
        options: of tuning.

    Raises:
        UserError: as `expand`.
    """
    searches: dict[RunConfig, list[RunConfig]] = {}
    for config in expand(run_options):
        searches.setdefault(replace(config, seed=0, class_order_seed=0), []).append(config)
    return [Search(configs, options, run_options.out) for configs in searches.values()]
