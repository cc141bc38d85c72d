"""Every file of configs/ opens with its command, its time and the number to expect."""

import re
from pathlib import Path

import pandas as pd
import pytest

from seit_cl.command_line import parse
from seit_cl.grid import expand

FOLDER = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
TUNED = sorted((FOLDER / "tuned").glob("*.yaml"))


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


@pytest.mark.parametrize("path", TUNED, ids=lambda path: str(path.stem))
def test_a_tuned_one_has_its_trials_beside_it_and_describes_a_run(path: Path) -> None:
    (config,) = expand(parse(["--config", str(path)]))
    trials = pd.read_csv(path.with_suffix(".csv"))
    (best,) = trials[trials["best"]].to_dict("records")
    assert config.learning_rate == best["learning_rate"]
    assert best["final_accuracy"] == trials["final_accuracy"].max()
