"""The public names of seit_cl: which there are, how they are called, and what importing costs."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import seit_cl
from seit_cl.core.errors import UserError

RECORDED = Path(__file__).parent / "public_names.txt"
# New options of runs and new hooks change nothing for those who do not use them.
NAMES_ONLY = ("RunConfig", "UserError")
INHERITED = ("Strategy", "Scenario")  # whose members docs/adding-a-strategy.md and others describe


def members(found: Any) -> list[tuple[str, Any]]:
    """Public functions of a class, in the order of their names."""
    functions = []
    for name, value in sorted(vars(found).items()):
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if not name.startswith("_") and (inspect.isfunction(function)):
            functions.append((name, function))
    return functions


def signatures() -> str:
    """Every public name with its signature, one a line, and the methods of classes."""
    lines = []
    for name in sorted(seit_cl.__all__):
        found = getattr(seit_cl, name)
        if not callable(found) or name in NAMES_ONLY:
            lines.append(name)
            continue
        lines.append(f"{name}{inspect.signature(found)}")
        if inspect.isclass(found) and name not in INHERITED:
            for member, function in members(found):
                lines.append(f"{name}.{member}{inspect.signature(function)}")
    return "\n".join(lines) + "\n"


def test_public_names_and_signatures_change_with_a_note_in_the_changelog() -> None:
    assert signatures() == RECORDED.read_text(), (
        "the public interface has changed: say so in CHANGELOG.md, let what was removed warn for "
        "one version (typing_extensions.deprecated), and then record it: python "
        "tests/test_public_names.py"
    )


def test_every_public_name_is_documented() -> None:
    undocumented = [
        name
        for name in seit_cl.__all__
        if name != "__version__" and not inspect.getdoc(getattr(seit_cl, name))
    ]
    assert undocumented == []
    assert set(seit_cl.__all__) <= set(dir(seit_cl))


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, seit_cl; seit_cl.RunConfig; print('torch' in sys.modules)"
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ByteBuffer'"):
        _ = seit_cl.ByteBuffer  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_distribution_and_in_the_changelog() -> None:
    root = Path(__file__).resolve().parent.parent
    assert "version = attr: seit_cl.__version__\n" in (root / "setup.cfg").read_text()
    assert f"## {seit_cl.__version__}" in (root / "CHANGELOG.md").read_text()
    assert issubclass(seit_cl.UserError, UserError)


if __name__ == "__main__":
    RECORDED.write_text(signatures())
