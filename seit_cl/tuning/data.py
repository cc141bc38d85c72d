"""The data of trials: other classes than the evaluation's, or its first experience."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.listing import some_names
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.experiment.run_data import list_dataset, open_dataset
from seit_cl.grid import expand
from seit_cl.tuning.options import TuningOptions

VALIDATION = 0.2  # of the first experience's training images, where nothing else is asked for


def prepare(run_options: Any, options: TuningOptions) -> tuple[Any, Dataset]:
    """Open the data of the trials.

    Args:
        run_options: as given; with `options.on` "first-experience" they describe the evaluation's
            stream.
        options: of tuning.

    Returns:
        The options of the trials' runs, and their dataset.

    Raises:
        UserError: bad data, a class of the evaluation, or a first experience that cannot be cut.
    """
    configs = expand(run_options)
    config = configs[0]
    dataset = open_dataset(config)
    if options.on == "data":
        if options.apart_from is not None:
            _check_apart(dataset, replace(config, data_root=options.apart_from))
        return run_options, dataset
    if len({config.class_order_seed for config in configs}) > 1:
        raise UserError(
            "--on first-experience: each class order has a first experience of its own; give one "
            "--class-order-seed, without --paired-orders"
        )
    first = _first_experience(config, dataset)
    if len(first.classes) < 2:
        raise UserError(
            "--on first-experience: it has a single class; lower --experiences, or tune on other "
            "classes with --on data"
        )
    stream_of_trials = {
        "scenario": RunConfig.scenario,
        "experiences": min(options.parts, len(first.classes)),
        "first_classes": 0,
        "class_order": (),
        "experience_classes": (),
        "class_lists": (),
        "validation_fraction": run_options.validation_fraction or VALIDATION,
        "test_on": "validation",
    }
    return replace(run_options, **stream_of_trials), first


def _check_apart(dataset: Dataset, evaluation: RunConfig) -> None:
    """Refuse a dataset with a class of the evaluation's data.

    Raises:
        UserError: naming the classes.
    """
    evaluated = set(list_dataset(evaluation).classes)
    shared = [name for name in dataset.classes if name in evaluated]
    if shared:
        raise UserError(
            f"--apart-from {evaluation.data_root}: --data-root has the same {len(shared)} of its "
            f"{len(dataset.classes)} classes ({some_names(shared)}); leave them out"
        )


def _first_experience(config: RunConfig, dataset: Dataset) -> Dataset:
    """Select the classes of the first experience of a run's stream.

    Raises:
        UserError: the stream does not show all training images of these classes at once.
    """
    recipe = build_recipe(config.scenario)
    stream = recipe.cut(dataset, config.resolved_stream(len(dataset.classes)))
    indices = [stream.class_order[label] for label in stream.classes[0]]
    first = dataset.subset(dataset.classes[index] for index in indices)
    if len(first.train) != len(stream.train[0]):
        raise UserError(
            f"--on first-experience: --scenario {config.scenario} shows a part of the images of "
            "its first classes there; tune on other classes with --on data"
        )
    return first
