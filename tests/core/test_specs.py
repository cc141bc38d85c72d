"""Specs: how they are read, what they refuse, and the canonical text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from seit_cl.core.errors import UserError
from seit_cl.core.options import NOT_NEGATIVE, ranged
from seit_cl.core.specs import (
    NoOptions,
    NumberList,
    Spec,
    argument,
    argument_label,
    canonical_text,
    other_options,
)


@dataclass(frozen=True)
class Options:
    quality: int = 75
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class WithCheckpoint(Options):
    checkpoint: str = argument("CHECKPOINT")


@dataclass(frozen=True)
class OpenEnded:
    plugin: str = argument("Plugin", default="")
    arguments: Mapping[str, Any] = other_options(float)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("raw", Spec("raw")),
        ("jpeg:original", Spec("jpeg", "original")),
        ("jpeg:quality=30,size=64", Spec("jpeg", "", {"quality": "30", "size": "64"})),
        ("avalanche:LwF,alpha=0.5", Spec("avalanche", "LwF", {"alpha": "0.5"})),
        ("vqgan:/a/b.ckpt", Spec("vqgan", "/a/b.ckpt")),
    ],
)
def test_a_spec_is_a_name_an_argument_and_options(text: str, spec: Spec) -> None:
    assert Spec.parse(text) == spec
    assert str(spec) == text


def test_hyphens_and_underscores_are_alike() -> None:
    assert Spec.parse("er-ace:some-option=1") == Spec("er-ace", options={"some_option": "1"})
    assert Spec("er-ace").key == "er_ace"


NO_EPOCHS = NumberList("")


@dataclass(frozen=True)
class WithRange:
    weight: float = ranged(1.0, NOT_NEGATIVE)
    epochs: NumberList = NO_EPOCHS


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("weight=-1", "weight=-1: must be 0 or more"),
        ("weight=nan", "weight=nan: must be a finite number"),
        ("weight=inf", "weight=inf: must be a finite number"),
        ("epochs=1+nan", "epochs='1+nan' is not numbers joined by"),
    ],
)
def test_a_value_outside_its_range_is_refused(option: str, words: str) -> None:
    with pytest.raises(UserError, match=f"plugin:{re.escape(option)}'.*{re.escape(words)}"):
        Spec.parse(f"plugin:{option}").fill(WithRange)


def test_numbers_without_a_range_are_finite() -> None:
    with pytest.raises(UserError, match="scale=inf: must be a finite number"):
        Spec.parse("plugin:scale=1e999").fill(Options)
    with pytest.raises(UserError, match="alpha=nan: must be a finite number"):
        Spec.parse("plugin:alpha=nan").fill(OpenEnded)


@pytest.mark.parametrize("text", ["jpeg:quality=1,fast", "jpeg:quality=1,quality=2"])
def test_an_option_without_a_value_or_given_twice_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="not key=value or is given twice"):
        Spec.parse(text)


def test_options_take_the_type_of_their_defaults() -> None:
    assert Spec.parse("x:quality=30,scale=2").fill(Options) == Options(30, 2.0)


@pytest.mark.parametrize(
    ("text", "options_type", "words"),
    [
        ("x:qualty=30", Options, "unknown option 'qualty'; did you mean 'quality'"),
        ("x:quality=high", Options, "quality='high' is not of type int"),
        ("x:fast", Options, "option 'fast' is not key=value"),
        ("x:a=1", NoOptions, "it has no options"),
        ("x:quality=3", WithCheckpoint, "CHECKPOINT is missing; write x:CHECKPOINT"),
    ],
)
def test_what_does_not_fit_the_options_is_refused(
    text: str, options_type: type[Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        Spec.parse(text).fill(options_type)


def test_an_argument_fills_its_field() -> None:
    options = Spec.parse("x:a.ckpt,quality=3").fill(WithCheckpoint)
    assert options == WithCheckpoint(checkpoint="a.ckpt", quality=3)
    assert argument_label(WithCheckpoint) == "CHECKPOINT"
    assert argument_label(Options) == ""


def test_open_ended_options_take_whatever_is_given() -> None:
    options = Spec.parse("x:LwF,beta=1,alpha=0.50").fill(OpenEnded)
    assert options == OpenEnded("LwF", {"beta": 1.0, "alpha": 0.5})
    assert canonical_text("x", options) == "x:LwF,alpha=0.5,beta=1.0"


def test_the_canonical_text_is_one_for_all_ways_to_write_a_spec() -> None:
    texts = {
        canonical_text("x", Spec.parse(text).fill(Options))
        for text in ("x", "x:scale=1", "x:quality=75,scale=1.0", "x:scale=1,quality=75")
    }
    assert texts == {"x:quality=75,scale=1.0"}


def test_the_canonical_text_can_leave_defaults_out() -> None:
    assert canonical_text("x", Options(), only_changed=True) == "x"
    assert canonical_text("x", Options(scale=2.0), only_changed=True) == "x:scale=2.0"


@dataclass(frozen=True)
class Lists:
    nested: bool = False
    epochs: NumberList = NumberList("")  # noqa: RUF009 (a tuple, never changed)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
def test_a_flag_is_true_or_false(text: str, value: bool) -> None:
    assert Spec.parse(f"a:nested={text}").fill(Lists).nested is value
    with pytest.raises(UserError, match="nested='1' is not true or false"):
        Spec.parse("a:nested=1").fill(Lists)


def test_numbers_joined_by_plus_make_a_list_with_the_same_text() -> None:
    options = Spec.parse("a:epochs=30+60.5").fill(Lists)
    assert options.epochs == (30.0, 60.5)
    assert canonical_text("a", options, only_changed=True) == "a:epochs=30+60.5"
    with pytest.raises(UserError, match="numbers joined by"):
        Spec.parse("a:epochs=30+").fill(Lists)
