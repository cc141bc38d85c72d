"""Every file of configs/ opens with its command, its time and the number to expect."""

import re
from pathlib import Path

import pytest

from seit_cl.command_line import parse
from seit_cl.grid import expand

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.stem))
def test_it_opens_with_command_time_and_expected_number_and_describes_runs(path: Path) -> None:
    lines = path.read_text().splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    header = " ".join(comment)
    assert f"python -m seit_cl.run --config configs/{path.name}" in header
    assert re.search(r"Time: .*\b(minutes?|hours?|seconds?)\b", header)
    assert re.search(r"Expected: .*\d\.\d %", header)
    assert expand(parse(["--config", str(path)]))
