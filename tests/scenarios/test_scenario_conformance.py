"""What every scenario owes, whichever it is: a file in scenarios/ is tested here as it lies there."""

import random
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from helpers.made_up import made_up
from seit_cl.config import RunConfig, option_names
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.specs import NoOptions
from seit_cl.data.base import Dataset
from seit_cl.data.listed_classes import imagenet_wnids
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.grid import expand, parse, preset_options

NAMES = sorted(name.replace("_", "-") for name in plugins.names("scenario"))


def datasets() -> list[Dataset]:
    """Made-up ones, of which one or the other suits a scenario."""
    return [made_up(imagenet_wnids()), made_up([f"n{i:08d}" for i in range(200)])]


def stream(name: str) -> tuple[Dataset, Scenario]:
    """A scenario's stream of the first made-up dataset that suits it."""
    kind, cut = build_recipe(name), RunConfig(scenario=name).stream_settings
    for whole in datasets():
        try:
            selected = kind.select(whole)
            return selected, kind.cut(selected, cut)
        except UserError:
            continue
    pytest.skip(f"{name} needs files")


def randomness() -> tuple[Any, ...]:
    """Every global random state."""
    return (*random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


@pytest.mark.parametrize("name", NAMES)
def test_its_stream_is_made_of_its_datasets_samples_and_of_the_classes_that_it_says(
    name: str,
) -> None:
    data, cut = stream(name)
    assert sorted(cut.class_order) == list(range(len(data.classes)))
    assert len(cut) == len(cut.train) == len(cut.test) == len(cut.classes) >= 1
    labels, test_labels = cut.labels(data.train.labels), cut.labels(data.val.labels)
    for train, test, classes in zip(cut.train, cut.test, cut.classes, strict=True):
        assert train.dtype == test.dtype == torch.int64 and len(train)
        assert len(train.unique()) == len(train) and len(test.unique()) == len(test)
        assert set(labels[train].tolist()) <= set(classes)
        assert set(test_labels[test].tolist()) <= set(classes)
    assert len(torch.cat(cut.test).unique()) == len(torch.cat(cut.test)), (
        "a test sample is tested in two experiences"
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_same_options_give_the_same_stream_and_no_global_random_state_moves(name: str) -> None:
    before = randomness()
    one, other = stream(name)[1], stream(name)[1]
    assert randomness() == before
    assert one.class_order == other.class_order and one.classes == other.classes
    assert all(
        torch.equal(a, b)
        for a, b in zip((*one.train, *one.test), (*other.train, *other.test), strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is_and_where_from(name: str) -> None:
    kind = build_recipe(name)
    assert kind.name == name and kind.stream and kind.source and kind.classes and kind.images
    assert kind.__doc__ and RunConfig(scenario=name).experiences == kind.experiences


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_it_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="no_such_option"):
        build_recipe(f"{name}:no_such_option=1")


@pytest.mark.parametrize("name", NAMES)
def test_options_of_its_own_come_with_values_and_keep_out_of_the_learners(name: str) -> None:
    kind = build_recipe(name)
    if kind.Options is not NoOptions:
        assert not {field.name for field in fields(kind.Options)} & set(option_names())


@pytest.mark.parametrize("name", [name for name in NAMES if build_recipe(name).preset])
def test_its_preset_is_made_of_a_runs_options_and_can_be_run(name: str) -> None:
    assert set(preset_options(name)) <= set(option_names()) - {
        "scenario",
        "data_root",
        "seed",
        "class_order_seed",
    }
    assert expand(parse(["--scenario", name, "--preset"]))
