"""The scripts and the notebook in examples/ run, and docs/from-python.md shows the same code."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
MOST_STATEMENTS = 15
WITHOUT_SEIT_CL = {"read_memory"}  # does not show the interface; see test_read_memory.py
RUNS = ("experiment", "own_strategy", "results")  # on the built-in fractals
# A part of what each script prints.
PRINTED = {
    "byte_memory": r"21 exemplars in 19\d+ of 20000 bytes",
    "byte_memory_of_tokens": r"tokens \(8, 1, 4, 4\) images \(8, 3, 32, 32\)",
    "avalanche_replay": r"exemplars in 4\d+ of 50000 bytes",
    "avalanche_tokens": r"exemplars in 19\d+ of 2000 bytes",
    "experiment": r"13 exemplars in 19\d+ bytes",
    "own_strategy": r"WeightedReplay-weight-3.0.*finished, final accuracy",
    "own_model_and_data": r"\[0\.\d+, 0\.\d+\] 2\d+",
    "results": r"report\.html",
}


def _marked(name: str) -> Any:
    """The name of a script, marked as slow where it makes runs on the built-in fractals."""
    return pytest.param(name, marks=pytest.mark.slow) if name in RUNS else name


def code_of(name: str) -> str:
    """The code of a script, without its docstring."""
    return (EXAMPLES / f"{name}.py").read_text().split('"""\n', 1)[1].strip()


def statements(tree: ast.AST) -> int:
    """Number of statements besides imports, definitions' heads included."""
    found = 0
    for node in ast.walk(tree):
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        found += isinstance(node, ast.stmt) and not is_import
    return found


def test_every_script_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PRINTED) | WITHOUT_SEIT_CL


@pytest.mark.parametrize("name", PRINTED)
def test_a_script_has_at_most_fifteen_statements(name: str) -> None:
    assert statements(ast.parse(code_of(name))) <= MOST_STATEMENTS


@pytest.mark.parametrize("name", [_marked(name) for name in PRINTED])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_script_runs_in_an_empty_folder(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert re.search(PRINTED[name], capsys.readouterr().out)


@pytest.mark.parametrize("name", PRINTED)
def test_the_page_shows_the_script(name: str) -> None:
    page = (ROOT / "docs" / "from-python.md").read_text()
    assert f"```python\n{code_of(name)}\n```" in page


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    printed = "".join(output["text"] for output in notebook.cells[2].outputs)
    assert "tokens: 100 exemplars" in printed


def test_the_notebook_is_stored_without_outputs() -> None:
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
