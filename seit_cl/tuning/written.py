"""Files of a search: the config of its best trial, and a CSV of every trial."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import yaml

from seit_cl.config import RunConfig
from seit_cl.core.csv_text import csv_text
from seit_cl.core.files import write_atomic
from seit_cl.data.settings import StreamSettings
from seit_cl.learner.search_space import Choices
from seit_cl.tuning.options import Objective
from seit_cl.tuning.search import RATE, Search, Trial

FOLDER = "tuned"  # of configs and CSVs, in --out
OBJECTIVES: tuple[str, ...] = get_args(Objective)
# Options of the tuning stream and of the machine, which a run on another stream has of its own.
NOT_WRITTEN = {
    *(declared.name for declared in fields(StreamSettings)),
    "data_root",
    "scenario",
    "seed",
    "eval_every",
    "val_fraction",
    "split_seed",
    "validation_fraction",
    "validation_seed",
    "test_on",
    "skip_bad_images",
    "max_pixels",
    "save_model",
    "device",
    "compile",
    "graph",
    "test_precision",
}


def write_search(search: Search, command: str) -> Path | None:
    """Write the CSV of a search, and the config of its best trial.

    Args:
        search: with its trials.
        command: the command line.

    Returns:
        The path of the config; None where no trial is finished.
    """
    folder = search.out / FOLDER
    best = search.best()
    if best is None:
        return None
    folder.mkdir(exist_ok=True)
    table = trials_table(search)
    write_atomic(folder / f"{search.name}.csv", csv_text(table))
    path = folder / f"{search.name}.yaml"
    options = yaml.safe_dump(written_options(best.configs[0]), sort_keys=False, allow_unicode=True)
    write_atomic(path, "\n".join([*_comment(search, best, command), options]))
    return path


def trials_table(search: Search) -> pd.DataFrame:
    """Return a row for every trial: its values, mean accuracies, and the score of each run.

    Accuracies are fractions, and nan for an unfinished trial.
    """
    objective = search.options.objective
    best = search.best()
    rows: list[dict[str, Any]] = []
    for trial in search.trials:
        row: dict[str, Any] = {"trial": trial.number, **trial.values}
        for metric in OBJECTIVES:
            row[metric] = trial.score(metric)
        for config, score in zip(trial.configs, trial.scores(objective), strict=True):
            row[f"{objective}_seed{config.seed}_order{config.class_order_seed}"] = score
        row["best"] = trial is best
        row["problem"] = trial.problem
        rows.append(row)
    return pd.DataFrame(rows)


def written_options(config: RunConfig) -> dict[str, Any]:
    """Return the options that a config of a trial has: what was chosen, and what was changed.

    Options of the tuning stream, of the machine and of the seed are left out.
    """
    defaults = RunConfig().plain()
    options: dict[str, Any] = {"strategy": config.strategy, "learner": config.learner}
    if config.memory_mb:
        options |= {"format": config.format, "memory_mb": config.memory_mb}
    options[RATE] = config.learning_rate
    dimensions = {"format", "memory_mb", *options}
    for name, value in config.plain().items():
        if name not in dimensions and name not in NOT_WRITTEN and value != defaults[name]:
            options[name] = value
    return options


def _comment(search: Search, best: Trial, command: str) -> list[str]:
    """Lines at the top of a config: how its values were found."""
    options = search.options
    lines = [
        f"Hyperparameters of {search.name}, tuned by",
        f"  {command}",
        "",
        _outcome(search, best),
        _data(search, best),
    ]
    for name, within in search.ranges.items():
        lines.append(f"Searched: {name}, {within}.{_edge(search, best, name)}")
    lines += [
        f"Sampler: {options.sampler}, seed {options.sampler_seed}; the first trial has the "
        "defaults.",
        f"Every trial: {search.name}.csv",
    ]
    return [f"# {line}".rstrip() for line in lines]


def _outcome(search: Search, best: Trial) -> str:
    """Line about the best trial and the first one."""
    objective = search.options.objective
    seeds = " ".join(f"{config.seed}" for config in search.configs)
    orders = " ".join(f"{config.class_order_seed}" for config in search.configs)
    finished = len(search.finished())
    return (
        f"Chosen: trial {best.number} of {len(search.trials)}, {finished} of them finished; "
        f"{objective} {percent(best.score(objective))}, with the defaults "
        f"{percent(search.trials[0].score(objective))}; seeds {seeds}, "
        f"class orders {orders}."
    )


def _data(search: Search, best: Trial) -> str:
    """Line about the data that the trials were trained and tested on."""
    run = best.runs()[0]
    classes = len(run.environment.get("classes", []))
    identity = run.environment.get("dataset_identity", "")
    experiences = run.config.get("experiences")
    line = (
        f"Data: {run.get('dataset')}, {classes} classes in {experiences} experiences (identity "
        f"{identity})"
    )
    if search.options.on == "first-experience":
        held_out = 100 * search.config.validation_fraction
        return f"{line}: the first experience, tested on {held_out:g} % of its training images."
    if search.options.apart_from is not None:
        return f"{line}; no class of {search.options.apart_from}."
    return f"{line}."


def _edge(search: Search, best: Trial, name: str) -> str:
    """Sentence for a best trial with the smallest or the largest number that was tried."""
    if isinstance(search.ranges[name], Choices):
        return ""
    values = [trial[0][name] for trial in search.finished()]
    if len(set(values)) > 2:
        if best.values[name] == max(values):
            return " The best is the largest that was tried."
        if best.values[name] == min(values):
            return " The best is the smallest that was tried."
    return ""


def outcome_line(search: Search) -> str:
    """Return a line for the terminal: the best trial of a search, and the defaults."""
    objective = search.options.objective
    best = search.best()
    if best is None:
        return f"{search.name}: no trial is finished"
    values = " ".join(f"{name}={value:g}" for name, value in best.values.items())
    return (
        f"{search.name}: {percent(best.score(objective))} with {values}, "
        f"{percent(search.trials[0].score(objective))} with the defaults; "
        f"{len(search.finished())} of {len(search.trials)} trials"
    )


def percent(score: float) -> str:
    """Write a fraction for people."""
    return "unfinished" if math.isnan(score) else f"{100 * score:.1f} %"
