"""Outlines say of every plugin what the imported plugin says, and leave no stand-in behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.plugin_facts import facts
from seit_cl.core import plugins

READ_ALL = """
import json, sys
from helpers.plugin_facts import outlines_of_all
from seit_cl.core.outlines import LIBRARIES
facts = outlines_of_all()
print(json.dumps([facts, sorted(LIBRARIES & set(sys.modules))]))
"""
ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str, *folders: Path) -> str:
    """Output of code in a new interpreter that finds modules in these folders too."""
    added = "".join(f"import sys; sys.path.insert(0, {str(folder)!r})\n" for folder in folders)
    ended = subprocess.run(
        [sys.executable, "-c", added + code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=ROOT,
    )
    return ended.stdout


@pytest.fixture(scope="module")
def outlines() -> dict[str, dict[str, Any]]:
    """Facts of all plugins, read where no library was imported."""
    found, loaded = json.loads(run_python(READ_ALL, ROOT / "tests"))
    assert loaded == []
    return dict(found)


@pytest.mark.parametrize("kind", sorted(plugins.KINDS))
def test_the_outline_of_every_plugin_is_that_of_the_imported_one(
    kind: str, outlines: dict[str, dict[str, Any]]
) -> None:
    imported = {name: facts(kind, name) for name in sorted(plugins.names(kind))}
    assert outlines[kind] == imported


PROBE = """
import safetensors
from safetensors import SafetensorError
from seit_cl.core.specs import NoOptions

class Probe(SafetensorError):
    Options = NoOptions
    source = "light"
    version = {version}

    @classmethod
    def build(cls, options, context):
        return cls()

PLUGIN = Probe
"""
READ_PROBE = """
import sys
from seit_cl.core import outlines, plugins
plugins.KINDS["probe"] = ("probes", "PLUGIN")
print(outlines.read_plugins("probe", lambda name: plugins.load("probe", name).%s))
print("safetensors" in sys.modules)
print(issubclass(plugins.load("probe", "one"), Exception))
"""


def probe(folder: Path, version: str) -> None:
    """Write a package with one plugin that imports a library."""
    (folder / "probes").mkdir()
    (folder / "probes" / "__init__.py").write_text("")
    (folder / "probes" / "one.py").write_text(PROBE.replace("{version}", version))


def test_a_plugin_is_imported_where_a_stand_in_is_not_enough(tmp_path: Path) -> None:
    probe(tmp_path, "'version ' + safetensors.__version__")
    lines = run_python(READ_PROBE % "version", tmp_path).splitlines()
    assert lines[0].startswith("{'one': 'version ")
    assert lines[1:] == ["True", "True"]


def test_an_outline_leaves_no_stand_in_behind(tmp_path: Path) -> None:
    probe(tmp_path, "safetensors.deserialize")
    assert run_python(READ_PROBE % "source", tmp_path).splitlines() == [
        "{'one': 'light'}",
        "False",
        "True",
    ]
