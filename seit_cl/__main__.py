"""`python -m seit_cl` and `seit-cl`: list the commands, or run one of them."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from seit_cl import __version__
from seit_cl.core import torchrun
from seit_cl.core.cli import CONSOLE_SCRIPT, MODULE, run_command
from seit_cl.core.errors import UserError, nearest

# Name of a command -> its module, which has `main`, and a line about it.
COMMANDS = {
    "run": ("seit_cl.run", "train and test learners with a memory of so many bytes; make a report"),
    "status": ("seit_cl.status", "list the runs of a folder of results, and how long they take"),
    "compare": (
        "seit_cl.compare",
        "compare tokens with JPEGs at equal bytes",
    ),
    "pretrain": (
        "seit_cl.pretrain",
        "pre-train a learner's network without labels, by masked modelling",
    ),
    "tune": ("seit_cl.tune", "tune strategies on other classes than those of the evaluation"),
    "report": ("seit_cl.report", "make figures, tables and report.html of result folders"),
    "density": ("seit_cl.density", "measure bytes, fidelity and speed of formats without training"),
    "pilot": ("seit_cl.pilot", "own photographs to a decision about their storage, in one command"),
    "tokenize": ("seit_cl.tokenize", "train, inspect and apply tokenizers; encode image folders"),
    "strategies": ("seit_cl.strategies.__main__", "list the strategies"),
    "models": ("seit_cl.models.__main__", "list the models"),
    "datasets": ("seit_cl.datasets.__main__", "list the kinds of data that --data-root takes"),
    "scenarios": ("seit_cl.scenarios.__main__", "list the scenarios, or count a dataset for each"),
}
_HELP = ("-h", "--help")
DIVIDED = ("run", "tokenize")  # among the processes of torchrun; tokenize refuses what is not


def main() -> None:
    """Run the command of the first word, with the others as its command line."""
    run_command(_run_named, several=True)


def _run_named() -> object:
    """Run the command of the first word, or list the commands."""
    called_as = MODULE if Path(sys.argv[0]).name == "__main__.py" else CONSOLE_SCRIPT
    words = sys.argv[1:]
    if not words or words[0] in _HELP:
        print(overview(called_as))
        return None
    if words[0] == "--version":
        print(f"seit_cl {__version__}")
        return None
    name = words[0]
    if name not in COMMANDS:
        raise UserError(f"unknown command {name!r}; {nearest(name, COMMANDS)}")
    if name not in DIVIDED:
        torchrun.refuse_several(name)
    sys.argv = [f"{called_as} {name}", *words[1:]]
    return import_module(COMMANDS[name][0]).main()


def overview(called_as: str) -> str:
    """The list of commands.

    Args:
        called_as: the words in front of a command's name.
    """
    lines = [f"usage: {called_as} COMMAND [OPTIONS]", ""]
    width = max(map(len, COMMANDS))
    lines += [f"  {name:{width}}  {about}" for name, (_, about) in COMMANDS.items()]
    lines += [
        "",
        f"{called_as} COMMAND --help lists the options of a command, --version the version.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
