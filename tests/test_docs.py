"""Files and names in the documentation exist, and its command lines and Python can be run."""

import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tyro

from seit_cl import command_line, compare, report
from seit_cl.tuning import options as tuning_options

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "benchmarks" / "README.md", *ROOT.glob("docs/**/*.md")])
FRONT_PAGES = [ROOT / "README.md", ROOT / "docs" / "index.md"]
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


BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"python -m (?P<module>(?:seit_cl|studies|benchmarks)(?:\.\w+)*)(?P<words>.*)")


class ReadToTheEnd(Exception):
    """A command has read its options without an error."""


def shell_lines(page: Path) -> list[str]:
    """The lines of a page's blocks that are not Python, with continued ones put together."""
    blocks = BLOCK.findall(page.read_text())
    texts = [text for language, text in blocks if language in ("", "bash")]
    return [line for text in texts for line in text.replace("\\\n", " ").splitlines()]


def words_of(text: str) -> list[str]:
    """The words of a command line, with the options that a page has in brackets."""
    plain = re.sub(r"\[(--[^]]*)\]", r"\1", text).replace("…", "")
    numbers = {"M": "5"}  # minutes
    return [numbers.get(word, word) for word in shlex.split(plain, comments=True)]


def documented_commands() -> list[tuple[str, str]]:
    """Module and words of every command line that the pages show."""
    matches = [COMMAND.search(line) for page in PAGES for line in shell_lines(page)]
    found = [match for match in matches if match and "$" not in match["words"]]
    return sorted(
        {
            (match["module"], match["words"].partition(";")[0])
            for match in found
            if match["module"] not in LISTS
        }
    )


def report_options(words: list[str]) -> object:
    """Read the options of a report, which reads its folders next."""
    return report._parser().parse_args(words)


def ending(read: Callable[..., object]) -> Callable[..., None]:
    """Wrap a function of tyro's, so that a command ends once its options are read."""

    def read_and_end(*args: Any, **kwargs: Any) -> None:
        read(*args, **kwargs)
        raise ReadToTheEnd

    return read_and_end


# These read more after tyro: names of plugins, ranges, what excludes one another.
PARSERS: dict[str, Callable[[list[str]], object]] = {
    "seit_cl.run": command_line.parse,
    "seit_cl.compare": compare.parse_options,
    "seit_cl.report": report_options,
    "seit_cl.tune": lambda words: tuning_options.parse_options(words, None),
}
WRITTEN_BY_READERS = "weighted"  # the strategy of docs/adding-a-strategy.md
LISTS = {"seit_cl.strategies", "seit_cl.models", "seit_cl.datasets"}  # they take no options


@pytest.mark.parametrize(("module", "text"), documented_commands())
def test_a_command_of_the_pages_reads_its_options(
    module: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = words_of(text)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    words = [word for word in words if word != WRITTEN_BY_READERS]
    (tmp_path / "lists.yaml").write_text("[[cat, dog], [car, ship]]")
    if module in PARSERS:
        PARSERS[module](words)
        return
    monkeypatch.setattr(sys, "argv", [module, *words])
    monkeypatch.setattr(tyro, "cli", ending(tyro.cli))
    with_subcommands = tyro.extras.subcommand_cli_from_dict
    monkeypatch.setattr(tyro.extras, "subcommand_cli_from_dict", ending(with_subcommands))
    with pytest.raises(ReadToTheEnd):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


@pytest.mark.parametrize("page", FRONT_PAGES, ids=["README.md", "docs/index.md"])
def test_the_python_of_a_front_page_runs_in_an_empty_folder(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = [text for language, text in BLOCK.findall(page.read_text()) if language == "python"]
    assert len(code) == 1
    exec(code[0], {})
    assert 0 < (tmp_path / "memory.bin").stat().st_size <= 20_000
