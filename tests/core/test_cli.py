"""Commands: a reader that closes early ends them quietly."""

import subprocess
import sys

import pytest

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
