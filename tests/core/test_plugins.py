"""Plugins: every one of them has the shape that seit_cl.core.plugins describes."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from seit_cl import run, strategies
from seit_cl.core import plugins
from seit_cl.core.cli import run_command
from seit_cl.core.errors import UserError
from seit_cl.core.specs import argument_label

PLUGINS: list[tuple[str, str]] = []
for plugin_kind in plugins.KINDS:
    PLUGINS += [(plugin_kind, name) for name in sorted(plugins.names(plugin_kind))]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_a_plugin_has_options_a_source_and_a_way_to_build_it(kind: str, name: str) -> None:
    plugin = plugins.load(kind, name)
    assert callable(plugin.build)
    assert getattr(plugin, "paper", "") or getattr(plugin, "source", "")
    assert is_dataclass(plugin.Options)
    assert plugin.Options.__dataclass_params__.frozen
    assert fields(plugin.Options) or not argument_label(plugin.Options)


@pytest.mark.parametrize("kind", sorted(plugins.KINDS))
def test_an_unknown_name_is_refused_with_the_kind(kind: str) -> None:
    with pytest.raises(UserError, match=f"unknown {kind} 'no-such'"):
        plugins.load(kind, "no-such")


@pytest.fixture
def write_strategy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[str], Path]]:
    """Write the file of a strategy "own" into a folder of strategies."""
    path = tmp_path / "own.py"
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(tmp_path)])

    def write(text: str) -> Path:
        path.write_text(text)
        plugins.names.cache_clear()
        return path

    yield write
    sys.modules.pop("seit_cl.strategies.own", None)
    plugins.names.cache_clear()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1\nclass Own(:\n", ", line 2: SyntaxError: invalid syntax; mend it; --debug"),
        ("\n\nimport no_such_thing\n", ", line 3: ModuleNotFoundError: No module named"),
        ("x = 1\ny = x / 0\n", ", line 2: ZeroDivisionError: division by zero; mend it"),
        ("class Own:\n    pass\n", " has no STRATEGY; end it with STRATEGY = YourClass"),
        ("STRATEGY = 3\n", "STRATEGY is no plugin, which has Options and build"),
    ],
)
def test_a_mistake_in_a_plugins_file_is_named_with_its_line(
    text: str,
    problem: str,
    write_strategy: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_strategy(text)
    monkeypatch.setattr(sys, "argv", ["run", "--strategy", "own", "--dry-run"])
    with pytest.raises(SystemExit) as stop:
        run_command(run.main)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: strategy 'own': ") and problem in line
    if problem.startswith((",", " ")):
        assert f"{path}{problem}" in line
