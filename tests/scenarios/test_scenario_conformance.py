"""The contract of scenarios: every file in scenarios/ is tested here."""

import random
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from helpers.named_classes import dataset_of_classes
from seit_cl.command_line import parse, preset_options
from seit_cl.config import RunConfig, option_names
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.specs import NoOptions
from seit_cl.data.base import Dataset
from seit_cl.data.listed_classes import imagenet_wnids
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.validation import ValidationPart
from seit_cl.grid import expand

NO_VALIDATION = ValidationPart()
NAMES = sorted(name.replace("_", "-") for name in plugins.names("scenario"))


def datasets() -> list[Dataset]:
    """Synthetic datasets, one of which fits a scenario that needs no files."""
    return [
        dataset_of_classes(imagenet_wnids()),
        dataset_of_classes([f"n{i:08d}" for i in range(200)]),
    ]


def stream(name: str, validation: ValidationPart = NO_VALIDATION) -> tuple[Dataset, Scenario]:
    """A scenario's stream of the first synthetic dataset that fits."""
    recipe = build_recipe(name)
    settings = RunConfig(scenario=name).resolved_stream()
    for whole in datasets():
        try:
            selected = recipe.select(whole)
            return selected, validation.cut(selected, lambda shown: recipe.cut(shown, settings))
        except UserError:
            continue
    pytest.skip(f"{name} needs files")


def randomness() -> tuple[Any, ...]:
    """Every global random state."""
    return (*random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


@pytest.mark.parametrize("name", NAMES)
def test_its_stream_has_samples_of_the_dataset_and_of_the_listed_classes(
    name: str,
) -> None:
    data, scenario = stream(name)
    assert sorted(scenario.class_order) == list(range(len(data.classes)))
    assert len(scenario) == len(scenario.train) == len(scenario.test) == len(scenario.classes) >= 1
    labels = scenario.labels(data.train.labels)
    test_labels = scenario.labels(data.val.labels)
    for train, test, classes in zip(scenario.train, scenario.test, scenario.classes, strict=True):
        assert train.dtype == test.dtype == torch.int64
        assert len(train)
        assert len(train.unique()) == len(train)
        assert len(test.unique()) == len(test)
        assert set(labels[train].tolist()) <= set(classes)
        assert set(test_labels[test].tolist()) <= set(classes)
    assert len(torch.cat(scenario.test).unique()) == len(torch.cat(scenario.test)), (
        "a test sample is tested in two experiences"
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tested", [True, False])
def test_a_validation_part_is_never_trained_on_and_takes_the_place_of_the_test_images(
    name: str, tested: bool
) -> None:
    part = ValidationPart(0.25, tested=tested)
    data, scenario = stream(name, part)
    kept, held = part.rows(data)
    trained = torch.cat(scenario.train)
    assert not torch.isin(trained, held).any()
    assert torch.isin(trained, kept).all()
    tests = torch.cat(scenario.test).sort().values
    assert torch.equal(tests, held if tested else torch.arange(len(data.val)))
    labels = scenario.labels(scenario.tested_split(data).labels)
    for test, classes in zip(scenario.test, scenario.classes, strict=True):
        assert set(labels[test].tolist()) <= set(classes)


@pytest.mark.parametrize("name", NAMES)
def test_its_stream_is_reproducible_and_leaves_global_random_states_alone(name: str) -> None:
    before = randomness()
    _, one = stream(name)
    _, other = stream(name)
    assert randomness() == before
    assert one.class_order == other.class_order
    assert one.classes == other.classes
    assert all(
        torch.equal(a, b)
        for a, b in zip((*one.train, *one.test), (*other.train, *other.test), strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_describes_itself_and_its_source(name: str) -> None:
    recipe = build_recipe(name)
    assert recipe.name == name
    assert recipe.stream
    assert recipe.source
    assert recipe.classes
    assert recipe.images
    assert recipe.__doc__
    assert RunConfig(scenario=name).resolved_stream().experiences == recipe.experiences


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="no_such_option"):
        build_recipe(f"{name}:no_such_option=1")


@pytest.mark.parametrize("name", NAMES)
def test_its_options_have_names_that_no_option_of_a_run_has(name: str) -> None:
    recipe = build_recipe(name)
    if recipe.Options is not NoOptions:
        assert not {field.name for field in fields(recipe.Options)} & set(option_names())


@pytest.mark.parametrize("name", [name for name in NAMES if build_recipe(name).preset])
def test_its_preset_has_valid_options_of_a_run(name: str) -> None:
    assert set(preset_options(name)) <= set(option_names()) - {
        "scenario",
        "data_root",
        "seed",
        "class_order_seed",
    }
    assert expand(parse(["--scenario", name, "--preset"]))
