"""An option of several values that is given twice is refused by every command."""

from __future__ import annotations

import sys

import pytest

from seit_cl import command_line, compare, density
from seit_cl.core.errors import UserError
from seit_cl.tuning import options as tuning


@pytest.mark.parametrize(
    "words",
    [
        ["--format", "tokens", "--format", "jpeg"],
        ["--format=tokens", "--epochs", "2", "--format=jpeg"],
        ["--memory-mb", "1", "--memory_mb", "2"],
        ["--class-lists", "a,b", "--class-lists", "c"],
        ["--seed", "0", "1", "--seed", "2"],
    ],
)
def test_a_list_given_twice_is_refused(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"^--\S+: is given twice; give it once, with all values"):
        command_line.parse(words)


def test_the_last_value_of_a_single_one_holds_as_everywhere() -> None:
    assert command_line.parse(["--epochs", "1", "--epochs", "2"]).epochs == 2


def test_options_of_other_commands_are_refused_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    again = ["--kind", "jpeg", "--kind", "webp", "--out", "x"]
    with pytest.raises(UserError, match="--kind: is given twice"):
        compare.parse_options(again)
    with pytest.raises(UserError, match="--strategy: is given twice"):
        tuning.parse_options(["--strategy", "er", "--strategy", "derpp", "--out", "x"], "")
    monkeypatch.setattr(
        sys, "argv", ["density", "--data-root", "x", "--format", "raw", "--format", "png"]
    )
    with pytest.raises(UserError, match="--format: is given twice"):
        density.main()
