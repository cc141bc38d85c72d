"""The script that makes every figure of a GPU goes on after a part that fails or takes too long."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.sh"


def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call the script on the CPU, with the interpreter of the test."""
    variables = {**os.environ, "PYTHON": sys.executable, "DEVICE": "cpu", **environment}
    return subprocess.run([SCRIPT, *words], env=variables, capture_output=True, text=True)


@pytest.mark.slow
def test_parts_that_fail_or_take_too_long_are_reported_and_the_next_one_runs(
    tmp_path: Path,
) -> None:
    missing = tmp_path / "missing"
    result = call(str(tmp_path), "step-micro:1", "run", "replay:200", DATA_ROOT=str(missing))
    outcomes = [line.split()[:2] for line in result.stdout.splitlines()]
    assert outcomes == [["step-micro", "timeout"], ["run", "failed"], ["replay", "ok"]]
    assert result.returncode == 1
    assert (tmp_path / "summary.txt").read_text() == result.stdout
    assert f"error: {missing}: no such folder" in (tmp_path / "run.log").read_text()
    assert "# Replay" in (tmp_path / "replay.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "benchmarks/gpu.sh OUT [PART...]"),
        (["OUT", "nonsense"], "nonsense: there is no such part"),
        (["OUT", "run"], "run: set DATA_ROOT to an image folder"),
    ],
)
def test_a_wrong_call_says_what_is_missing(words: list[str], message: str, tmp_path: Path) -> None:
    result = call(*[str(tmp_path) if word == "OUT" else word for word in words], DATA_ROOT="")
    assert result.returncode == 2
    assert message in result.stderr


def test_the_limits_add_up_to_eight_minutes() -> None:
    parts = re.search(r"PARTS=\((.*?)\)", SCRIPT.read_text(), re.DOTALL)
    assert parts is not None
    limits = [int(seconds) for seconds in re.findall(r":(\d+)", parts[1])]
    assert sum(limits) <= 8 * 60
