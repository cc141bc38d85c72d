"""Kills, losses of power and a failing disk at every operation lose nothing that was written.

`make faults` tries all of them; a small sample is in every `make test`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults.disk import state_after
from faults.trials import Tries, recorded, try_failures, try_kills, try_losses_of_power
from faults.works import NAMES, Work, open_work, small_images

# Faults of each kind in `make test`.
SAMPLES = {"run": 2, "tokenize encode": 2, "tokenize train": 1, "token cache of a run": 2}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_images(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module", params=NAMES)
def work(request: pytest.FixtureRequest, images: Path) -> Iterator[tuple[Work, int]]:
    """A command, and the number of faults of each kind that `make test` tries."""
    with open_work(request.param, images) as work:
        yield work, SAMPLES[request.param]


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", [try_kills, try_losses_of_power, try_failures])
def test_the_command_goes_on_after_a_fault_and_ends_with_the_same_result(
    work: tuple[Work, int],
    fault: Callable[[Work, Path, int | None], Tries],
    tmp_path: Path,
    whole: bool,
) -> None:
    command, sample = work
    tries = fault(command, tmp_path, None if whole else sample)
    assert tries.count > 0
    assert tries.problems == []


def test_the_recording_builds_the_folder_that_was_written(
    work: tuple[Work, int], tmp_path: Path
) -> None:
    disk, _ = recorded(work[0], tmp_path / "whole")
    written = {}
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file():
            written[str(path.relative_to(tmp_path / "whole"))] = path.read_bytes()
    assert state_after(disk.operations, "all", random.Random(0)) == written
