"""Options of all plugins: no value that makes no sense is taken."""

from __future__ import annotations

from dataclasses import Field
from typing import Any

import pytest

from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.options import RANGE
from seit_cl.core.specs import Spec, option_fields
from seit_cl.formats import FormatContext, build_format

# Kinds whose options are checked by a build that knows their context: the side of an image, data.
CHECKED_IN_BUILD = ("format", "dataset", "tokenizer")
KINDS = [kind for kind in plugins.KINDS if kind not in CHECKED_IN_BUILD]


def numbers(kind: str, name: str) -> list[Field[Any]]:
    """Options of a plugin that are numbers."""
    options = option_fields(plugins.load(kind, name).Options)
    return [option for option in options if type(option.default) in (int, float)]


def every_number(kinds: list[str]) -> list[tuple[str, str, Field[Any]]]:
    found = []
    for kind in kinds:
        for name in sorted(plugins.names(kind)):
            found += [(kind, name, option) for option in numbers(kind, name)]
    return found


@pytest.mark.parametrize("kind", plugins.KINDS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_no_option_is_nan_or_infinite(kind: str, value: str) -> None:
    for _, name, option in every_number([kind]):
        spec = Spec(name, options={option.name: value})
        with pytest.raises(UserError, match=option.name):
            spec.fill(plugins.load(kind, name).Options)


def test_every_number_has_a_range_or_its_options_check_themselves() -> None:
    for kind, name, option in every_number(KINDS):
        options = plugins.load(kind, name).Options
        checks_itself = "__post_init__" in vars(options)
        assert checks_itself or option.metadata.get(RANGE), f"{kind} {name}: {option.name}"


def test_no_option_of_a_run_is_far_below_zero() -> None:
    for kind, name, option in every_number(KINDS):
        with pytest.raises(UserError, match=option.name):
            Spec(name, options={option.name: "-1000000"}).fill(plugins.load(kind, name).Options)


@pytest.mark.parametrize("name", sorted(plugins.names("format")))
def test_no_format_takes_a_number_below_zero(name: str) -> None:
    for option in option_fields(plugins.load("format", name).Options):
        if isinstance(option.default, int) and not isinstance(option.default, bool):
            with pytest.raises(UserError, match=option.name):
                build_format(f"{name}:{option.name}=-1", FormatContext(classes=2, resolution=32))
