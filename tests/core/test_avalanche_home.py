"""Runs where the home folder cannot be written, as in many containers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# Imports what a run needs, then shows the home folder and where Avalanche would download to.
PROGRAM = """
import os, seit_cl
from seit_cl.data.scenario import Scenario
from avalanche.benchmarks.datasets.dataset_utils import default_dataset_location
print(os.environ.get("HOME"), default_dataset_location("x").name)
"""


def test_avalanche_is_imported_without_a_home_that_can_be_written(tmp_path: Path) -> None:
    home = tmp_path / "file" / "home"  # below a file, so that not even root can make it
    home.parent.write_text("")
    environment = os.environ | {"HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(home), "x"], done.stderr
