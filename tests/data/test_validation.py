"""A validation part: training images that the stream leaves out, to choose settings by."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.colour_stream import TRAIN, Outcome, colours, run
from helpers.named_classes import dataset_of_classes
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.base import Split
from seit_cl.data.validation import ValidationPart
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import run_id
from seit_cl.reporting.loading import gather, write_summary

CHOICE = {"validation_fraction": 0.25, "test_on": "validation"}


@given(st.floats(0.001, 0.999), st.integers(0, 2**40), st.integers(2, 60))
def test_every_class_is_partitioned_with_one_image_left_on_each_side(
    fraction: float, seed: int, images: int
) -> None:
    data = dataset_of_classes(["a", "b"], train=images)
    kept, held = ValidationPart(fraction, seed).rows(data)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(2 * images))
    counts = torch.bincount(data.train.labels[held], minlength=2).tolist()
    for count in counts:
        assert 1 <= count <= images - 1
        assert abs(count - fraction * images) <= 0.5 or count in (1, images - 1)


def test_the_choice_depends_on_the_seed_and_on_names_and_not_on_test_images() -> None:
    data = dataset_of_classes(["a", "b"], train=40)
    other = dataset_of_classes(["a", "b"], train=40, val=7)
    _, held = ValidationPart(0.2, 0).rows(data)
    assert torch.equal(held, ValidationPart(0.2, 0).rows(other)[1])
    assert not torch.equal(held, ValidationPart(0.2, 1).rows(data)[1])


def test_tokens_without_images_are_held_out_by_their_place_in_the_class() -> None:
    data = dataset_of_classes(["a", "b"], train=40)
    tokens = replace(data, train=Split([], data.train.labels))
    _, held = ValidationPart(0.2).rows(tokens)
    assert torch.bincount(data.train.labels[held]).tolist() == [8, 8]


def test_a_class_of_one_image_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="--validation-fraction: only one training image in a, b"):
        ValidationPart(0.2).rows(dataset_of_classes(["a", "b"], train=1))


def test_a_test_on_no_validation_part_is_refused() -> None:
    with pytest.raises(UserError, match="--test-on validation: there is no such part"):
        RunConfig(test_on="validation")


def test_validation_and_test_runs_have_folders_of_their_own() -> None:
    names = {
        run_id(RunConfig()),
        run_id(RunConfig(validation_fraction=0.2)),
        run_id(RunConfig(validation_fraction=0.2, test_on="validation")),
    }
    assert len(names) == 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("colours") / "data")


@pytest.fixture(scope="module")
def chosen_by(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run that is tested on a quarter of the training images."""
    return run(data, tmp_path_factory.mktemp("runs") / "choice", **CHOICE)


def test_a_run_trains_on_the_rest_and_is_tested_on_the_part(
    data: RunData, chosen_by: Outcome
) -> None:
    _, held = ValidationPart(0.25).rows(data.dataset)
    seen = {sample for step in chosen_by.fresh for sample in step}
    assert seen == set(range(len(data.dataset.train))) - set(held.tolist())
    last = chosen_by.run.accuracy.query("after_experience == 1")
    assert set(last.total) == {TRAIN // 4}
    assert (chosen_by.row["test_on"], chosen_by.row["dataset"]) == (
        "validation",
        "data (validation)",
    )


def test_test_images_have_no_part_in_what_is_chosen(
    data: RunData, chosen_by: Outcome, tmp_path: Path
) -> None:
    root = shutil.copytree(data.dataset.root, tmp_path / "data")
    for path in root.glob("val/*/*.png"):
        Image.new("RGB", (32, 32)).save(path)
    config = RunConfig(data_root=root)
    other = run(RunData(config), tmp_path / "out" / "choice", **CHOICE)
    assert other.numbers[0] == chosen_by.numbers[0]
    assert other.run.accuracy.equals(chosen_by.run.accuracy)
    memories = [(each.folder / "memory.bin").read_bytes() for each in (other, chosen_by)]
    assert memories[0] == memories[1]


def test_an_interrupted_run_ends_with_the_same_numbers(
    data: RunData, chosen_by: Outcome, tmp_path: Path
) -> None:
    folder = tmp_path / "out" / "choice"
    with pytest.raises(KeyboardInterrupt):
        run(data, folder, stop_after=0, **CHOICE)
    resumed = run(data, folder, **CHOICE)
    assert resumed.run.accuracy.equals(chosen_by.run.accuracy)
    assert (folder / "memory.bin").read_bytes() == (chosen_by.folder / "memory.bin").read_bytes()


def test_a_report_keeps_both_kinds_of_runs_apart_and_says_so(
    data: RunData, chosen_by: Outcome, tmp_path: Path
) -> None:
    reported = run(data, tmp_path / "reported")
    assert reported.row["test_on"] == "test"
    shutil.copytree(chosen_by.folder, tmp_path / "choice")
    gathered = gather([tmp_path])
    assert sorted(run.get("dataset") for run in gathered.runs) == ["data", "data (validation)"]
    assert [run.variant for run in gathered.runs] == ["", ""]
    (note,) = gathered.notes
    assert note.startswith("choice: tested on training images that the stream left out")
    table = write_summary(gathered, tmp_path).set_index("run_id")
    assert table.test_on.to_dict() == {"choice": "validation", "reported": "test"}
