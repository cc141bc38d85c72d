"""Files and names that the documentation mentions exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "benchmarks" / "README.md", *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
FILE = re.compile(r"`((?:seit_cl|strategies|scenarios|reports|benchmarks|studies|tests)/[\w./]+)`")
EXAMPLES = {"strategies/weighted.py"}  # to be written by the reader
QUESTION = re.compile(r"\]\((?P<path>[^)]+)\), `(?P<name>[\w.]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_of_the_repository_resolve(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    names = set(FILE.findall(page.read_text())) - EXAMPLES
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


def test_the_architecture_page_answers_its_questions_with_names_that_exist() -> None:
    page = ROOT / "docs" / "architecture.md"
    answers = list(QUESTION.finditer(page.read_text()))
    assert len(answers) == 4
    for answer in answers:
        source = (page.parent / answer["path"]).read_text()
        name = answer["name"].rpartition(".")[2]
        assert f"def {name}(" in source
