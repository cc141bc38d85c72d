"""`python -m seit_cl.tokenize`, run in a process of its own or in the test's."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from seit_cl.core.cli import run_command


def command_line(*words: object) -> list[str]:
    """The command with its subcommand and options."""
    return [sys.executable, "-m", "seit_cl.tokenize", *map(str, words)]


def flattened(options: Mapping[str, object]) -> list[object]:
    """The words of options and their values."""
    words: list[object] = []
    for name, value in options.items():
        words += [name, value]
    return words


def run_tokenize(*words: object, timeout: float = 120) -> str:
    """Run the command in a process of its own, require that it succeeds, and return its output."""
    ended = subprocess.run(
        command_line(*words), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a command."""

    code: object
    out: str
    err: str

    @property
    def is_one_line_error(self) -> bool:
        """Exit code 2 and a single line on standard error."""
        return self.code == 2 and len(self.err.splitlines()) == 1


@dataclass(frozen=True)
class TokenizeHere:
    """Runs the command in the test's process; see the fixture `tokenize` of conftest.py."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: object) -> Ended:
        """Run the command with these words."""
        from seit_cl.tokenize import main  # slow to import; most tests do without

        self.monkeypatch.setattr(sys, "argv", ["tokenize", *map(str, words)])
        code: object = 0
        try:
            run_command(main)
        except SystemExit as end:
            code = end.code
        out, err = self.capsys.readouterr()
        return Ended(code, out, err)
