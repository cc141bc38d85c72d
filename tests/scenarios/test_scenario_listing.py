"""`python -m seit_cl.scenarios` lists every scenario, and counts in a folder."""

import sys
from pathlib import Path

import pytest

from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.scenarios.__main__ import main


def listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["scenarios", *arguments])
    main()
    return capsys.readouterr().out.splitlines()


def line_of(lines: list[str], name: str) -> str:
    """The only line that starts with the name of a scenario."""
    (line,) = (line for line in lines if line.startswith(f"{name} "))
    return line


def test_every_scenario_has_a_line_with_its_classes_experiences_images_and_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = listed(monkeypatch, capsys)
    for name in plugins.names("scenario"):
        assert line_of(lines, name.replace("_", "-"))
    assert {"100", "10", "(LUCIR)"} <= set(line_of(lines, "imagenet100-u").split())
    assert "--memory-mb 0.1 0.5 2" in line_of(lines, "  imagenet100-u:base=0,phases=0")


def test_images_of_a_folder_are_counted_or_a_line_explains_why_it_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fractals: Path
) -> None:
    lines = listed(monkeypatch, capsys, "--data-root", str(fractals))
    fitting = line_of(lines, "class-incremental")
    assert fitting.split() == ["class-incremental", "5", "5", "80", "+", "30"]
    other = line_of(lines, "imagenet1k")
    assert "does not fit" in other
    assert "1000 of the 1000" in other


def test_a_missing_folder_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="nowhere"):
        listed(monkeypatch, capsys, "--data-root", str(tmp_path / "nowhere"))
