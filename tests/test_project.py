"""The files around the code agree with it: version, dependencies, citation, forms for issues."""

import configparser
import re
from collections.abc import Iterable
from pathlib import Path

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
