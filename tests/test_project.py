"""The files around the code agree with it: version, dependencies, citation, forms for issues."""

import configparser
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

import seit_cl

ROOT = Path(__file__).resolve().parent.parent


def settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def names(lists: Iterable[str]) -> set[str]:
    """The names of packages in lists of requirements."""
    lines = [line.strip() for text in lists for line in text.splitlines() if line.strip()]
    return {re.split(r"[<>=\[ ]", line)[0] for line in lines}


def test_the_version_has_one_source() -> None:
    assert settings()["metadata"]["version"] == "attr: seit_cl.__version__"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == seit_cl.__version__


def test_every_dependency_is_listed_with_its_licence() -> None:
    setup = settings()
    required = names([setup["options"]["install_requires"]])
    required |= names(setup["options.extras_require"].values())
    page = (ROOT / "docs" / "dependencies.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("|")]
    listed = {name.strip() for row in rows for name in row.split(",")}
    assert required - listed == set()


def test_what_builds_the_site_is_part_of_the_developers_environment() -> None:
    extras = settings()["options.extras_require"]
    assert names([extras["docs"]]) <= names([extras["dev"]])


def test_forms_for_issues_can_be_read() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 2
    for form in forms:
        kinds = [field["type"] for field in yaml.safe_load(form.read_text())["body"]]
        assert "textarea" in kinds


# Without site there is no editable installation, only what the variable names.
BARE = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}


def call_bare(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder by an interpreter that finds the package there or installed."""
    line = [sys.executable, "-S", "-m", *words]
    return subprocess.run(line, cwd=folder, env=BARE, capture_output=True, text=True, timeout=120)


def test_a_clone_works_without_an_editable_installation() -> None:
    ended = call_bare(ROOT, "seit_cl.strategies")
    assert ended.returncode == 0, ended.stderr
    assert "derpp" in ended.stdout


def test_a_folder_that_hides_the_package_is_named(tmp_path: Path) -> None:
    if (Path(sysconfig.get_path("purelib")) / "seit_cl" / "__init__.py").exists():
        pytest.skip("the installed package comes before a folder of its name")
    above = tmp_path / "seit_cl"
    above.mkdir()
    for name in ("core", "results", "status.py"):
        (above / name).symlink_to(ROOT / "seit_cl" / name)
    ended = call_bare(tmp_path, "seit_cl.status", ".")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {above}: this folder hides the installed package")
