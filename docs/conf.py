"""Configuration of Sphinx: `make docs` builds the site of all pages into site/.

The repository is the source folder, so that pages in docs/ and benchmarks/ link to one another
there as they do in a checkout.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

from sphinx.application import Sphinx

from seit_cl import __version__
from seit_cl.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#:]+)(?:#[^)\s]*)?\)")
HELP = "<!-- help of every command -->"
WIDTH = "88"  # columns of --help

project = "seit_cl"
author = copyright = "The seit_cl maintainers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
include_patterns = [
    "docs/**.md",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
root_doc = "docs/index"

default_role = "code"  # of `names` in docstrings
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"seit_cl {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_extra_path = ["_static/index.html"]
html_copy_source = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """Tell Sphinx how pages and docstrings are changed before they are read."""
    app.connect("source-read", prepare)
    app.connect("autodoc-process-docstring", escape_stars)


def escape_stars(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Keep the stars of shapes such as (B, *shape), which would begin emphasis.

    Args:
        app, what, name, thing, options: what Sphinx says of the docstring.
        lines: of the docstring, changed in place.
    """
    lines[:] = [line.replace(", *", r", \*") for line in lines]


def prepare(app: Sphinx, name: str, source: list[str]) -> None:
    """Fill in the help of the commands, and leave the text alone of links to what is no page.

    Args:
        app: Sphinx.
        name: path of the page, without its suffix.
        source: the page's text, changed in place.
    """
    page = PurePosixPath(name)
    text = source[0].replace(HELP, help_of_commands()) if HELP in source[0] else source[0]
    source[0] = LINK.sub(lambda link: link_in_site(link, page), text)


def link_in_site(link: re.Match[str], page: PurePosixPath) -> str:
    """Return a link as it is in the site: tables and pages stay, source files are named only.

    Args:
        link: a match of LINK.
        page: path of the page with the link.
    """
    target = ROOT / os.path.normpath(page.parent / link["target"])
    if target.suffix in (".md", ".csv", ".xz", ".txt"):
        return link[0]
    return link["text"]


def help_of_commands() -> str:
    """Return a section for every command, with what its --help prints."""
    sections = []
    for name, (_, line) in COMMANDS.items():
        title = f"## {name}\n{line[0].upper()}{line[1:]}."
        sections.append(f"{title}\n\n```text\n{help_of(name)}\n```\n")
    return "\n".join(sections)


def help_of(command: str) -> str:
    """Return what a command prints for --help, without the spaces at the ends of lines.

    Args:
        command: its name.
    """
    words = [sys.executable, "-m", "seit_cl", command, "--help"]
    environment = {**os.environ, "COLUMNS": WIDTH, "NO_COLOR": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip()
