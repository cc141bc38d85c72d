"""Commands: a reader that closes early ends them quietly, and mistakes are named."""

import subprocess
import sys

import pytest

from seit_cl.core.cli import run_command
from seit_cl.density import main as density

COMMANDS = ["seit_cl.run", "seit_cl.tokenize", "seit_cl.report", "seit_cl.density"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_pipe_ends_a_command_without_a_traceback(command: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", command, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() in (0, 1, 141)


def test_a_misspelt_required_option_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["density", "--data-rot", "images"])
    with pytest.raises(SystemExit) as ended:
        run_command(density)
    assert ended.value.code == 2
    expected = "unknown option --data-rot; did you mean '--data-root'?"
    assert expected in capsys.readouterr().err
