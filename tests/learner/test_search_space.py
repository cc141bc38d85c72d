"""Ranges of hyperparameters, and those that strategies declare."""

from dataclasses import fields
from typing import Any

import pytest

from seit_cl.core import plugins
from seit_cl.core.specs import Spec
from seit_cl.learner.search_space import (
    Choices,
    LogUniform,
    SearchRange,
    Uniform,
    search_ranges,
)


@pytest.mark.parametrize("within", [LogUniform(0.1, 10.0), Uniform(0.1, 10.0)])
def test_a_range_holds_its_ends_and_what_is_between(within: SearchRange) -> None:
    assert 0.1 in within and 1.0 in within and 10.0 in within
    assert 0.09 not in within and 11.0 not in within


def test_a_choice_holds_its_values_alone() -> None:
    assert 2.0 in Choices(1.0, 2.0) and 1.5 not in Choices(1.0, 2.0)


@pytest.mark.parametrize("name", sorted(plugins.names("strategy")))
def test_the_range_of_an_option_holds_its_default_and_values_that_a_spec_can_set(name: str) -> None:
    strategy: Any = plugins.load("strategy", name)
    defaults = {option.name: option.default for option in fields(strategy.Options)}
    for option, within in search_ranges(strategy.Options).items():
        assert defaults[option] in within
        ends = within.values if isinstance(within, Choices) else (within.low, within.high)
        for value in ends:
            assert isinstance(value, type(defaults[option]))
            filled = Spec(name, options={option: str(value)}).fill(strategy.Options)
            assert getattr(filled, option) == value
