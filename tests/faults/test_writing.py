"""A loss of power and a failing disk at every operation of a command lose nothing that was written.

`python -m pytest tests/faults -m slow` tries all of them; a small sample is in every `make test`.
"""

from __future__ import annotations

import errno
import hashlib
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from faults.disk import Disk, State, restore, state_after, states

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.core.system_errors import system_error_line
from seit_cl.data.fractals import write_fractals
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.finished import is_finished
from seit_cl.experiment.modality import build_modality
from seit_cl.experiment.observed_run import run_observed
from seit_cl.experiment.run_data import RunData
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.commands import _parts
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode, Train
from seit_cl.tokenizers.commands.train import train_command
from seit_cl.tokenizers.training import timed

SAMPLES = {"run": 4, "encode": 4, "train": 1}  # of states and of failures in `make test`
NUMBERS = (errno.ENOSPC, errno.EIO)


@dataclass(frozen=True)
class Work:
    """A command that writes into a folder.

    Args:
        make: does what is left to do, given the folder.
        result: describes what has been written; equal for equal numbers.
        sample: number of states and of failures that `make test` tries.
    """

    make: Callable[[Path], None]
    result: Callable[[Path], str]
    sample: int


def make_run(config: RunConfig, data: RunData, folder: Path) -> None:
    """Begin or continue a run, as `seit_cl.run` does."""
    run_dir = folder / "run"
    if not is_finished(config, run_dir):
        run_observed(Experiment(config, data, run_dir), "none", lambda info: None)


def run_result(folder: Path) -> str:
    """Accuracies and memory of a run."""
    return _digest(folder / "run" / "accuracy.csv", folder / "run" / "memory.bin")


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fractals(tmp_path_factory.mktemp("data") / "fractals", 4, 4, 2, 32)


@pytest.fixture(params=["run", "encode", "train"])
def work(request: pytest.FixtureRequest, images: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """A command, small enough to be done hundreds of times."""
    if request.param == "run":
        config = RunConfig(
            data_root=images, experiences=2, epochs=1, memory_mb=0.002, batch=8, device="cpu"
        )
        data = RunData(config)
        build_modality("tokens", data).prepare()
        return Work(partial(make_run, config, data), run_result, SAMPLES["run"])
    if request.param == "encode":
        monkeypatch.setattr(_parts, "PART", 8)
        return Work(
            lambda folder: encode_command(Encode(images, folder / "x.safetensors", workers=1)),
            lambda folder: _digest(folder / "x.safetensors"),
            SAMPLES["encode"],
        )
    monkeypatch.setattr(timed, "SAVE_EVERY", 0.0)  # a checkpoint after every step

    def train(folder: Path) -> None:
        out = folder / "x.safetensors"
        small = {"width": 8, "depth": 0, "codes": 16, "batch": 4, "crop": 16}
        train_command(Train(images, out, steps=2, resolution=32, fractals=0, **small))  # type: ignore[arg-type]

    def identity(folder: Path) -> str:
        return open_tokenizer(str(folder / "x.safetensors")).identity

    return Work(train, identity, SAMPLES["train"])


def recorded(work: Work, folder: Path) -> tuple[Disk, str]:
    """The operations of a command, and its result."""
    folder.mkdir()
    disk = Disk(folder)
    with disk.watch():
        work.make(folder)
    return disk, work.result(folder)


def after_loss_of_power(work: Work, folder: Path, state: State) -> str:
    """Go on from the folder that a loss of power has left, and return the result."""
    folder.mkdir()
    restore(state, folder)
    work.make(folder)
    _require_no_leftovers(folder)
    return work.result(folder)


def after_failure(work: Work, folder: Path, number: int, fail_at: int, lasting: bool) -> str:
    """Let an operation fail, go on with a sound disk, and return the result."""
    folder.mkdir()
    disk = Disk(folder, fail_at, number, lasting)
    try:
        with disk.watch():
            work.make(folder)
    except (OSError, UserError) as error:
        line = str(error) if isinstance(error, UserError) else system_error_line(error)
        assert line is not None
        assert str(folder) in line, line
    work.make(folder)
    _require_no_leftovers(folder)
    return work.result(folder)


def _require_no_leftovers(folder: Path) -> None:
    left = [path.name for path in folder.rglob("*") if path.name.endswith("-tmp")]
    assert left == []


def try_losses_of_power(work: Work, folder: Path, most: int | None) -> list[str]:
    """Try the states after a loss of power, `most` of them; return what went wrong."""
    disk, expected = recorded(work, folder / "whole")
    found = list(states(disk.operations).items())
    if most is not None:
        found = random.Random(0).sample(found, min(most, len(found)))
    problems = []
    for state, origin in found:
        try:
            same = after_loss_of_power(work, folder / "tried", dict(state)) == expected
            if not same:
                problems.append(f"{origin}: another result")
        except Exception as error:
            problems.append(f"{origin}: {type(error).__name__}: {error}")
        shutil.rmtree(folder / "tried")
    print(f"{len(found)} states after a loss of power, {len(problems)} problems")
    return problems


def try_failures(work: Work, folder: Path, most: int | None) -> list[str]:
    """Let operations fail, `most` of them; return what went wrong."""
    disk, expected = recorded(work, folder / "whole")
    tries = []
    for fail_at in range(disk.count):
        for number in NUMBERS:
            # A disk without room stays so; a bad sector is one.
            tries.append((number, fail_at, number == errno.ENOSPC))
    if most is not None:
        tries = random.Random(1).sample(tries, min(most, len(tries)))
    problems = []
    for number, fail_at, lasting in tries:
        origin = f"{errno.errorcode[number]} at operation {fail_at} of {disk.count}"
        try:
            same = after_failure(work, folder / "tried", number, fail_at, lasting) == expected
            if not same:
                problems.append(f"{origin}: another result")
        except Exception as error:
            problems.append(f"{origin}: {type(error).__name__}: {error}")
        shutil.rmtree(folder / "tried")
    print(f"{len(tries)} failures of {disk.count} operations, {len(problems)} problems")
    return problems


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_after_a_loss_of_power_the_command_ends_with_the_same_result(
    work: Work, tmp_path: Path, whole: bool
) -> None:
    assert try_losses_of_power(work, tmp_path, None if whole else work.sample) == []


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_failing_disk_is_named_and_the_command_goes_on_with_a_sound_one(
    work: Work, tmp_path: Path, whole: bool
) -> None:
    assert try_failures(work, tmp_path, None if whole else work.sample) == []


def test_the_recording_builds_the_folder_that_was_written(work: Work, tmp_path: Path) -> None:
    disk, _ = recorded(work, tmp_path / "whole")
    written = {}
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file():
            written[str(path.relative_to(tmp_path / "whole"))] = path.read_bytes()
    assert state_after(disk.operations, "all", random.Random(0)) == written
