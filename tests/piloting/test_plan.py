"""The photographs of a pilot, without those that cannot be read, and its runs."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from seit_cl.core.errors import UserError
from seit_cl.data.leave_out import leave_out
from seit_cl.datasets import list_data
from seit_cl.piloting.options import PilotOptions
from seit_cl.piloting.plan import (
    FEWEST_STEPS,
    Choice,
    left_out_file,
    make_plan,
    open_photographs,
    write_left_out,
)
from seit_cl.tokenizers import DEFAULT_TOKENIZER


@pytest.fixture
def photographs(fractals: Path, tmp_path: Path) -> Path:
    """Images of which a training image and a test image are cut."""
    folder = tmp_path / "photographs"
    shutil.copytree(fractals, folder)
    for split in ("train", "val"):
        path = min((folder / split).glob("*/*"))
        path.write_bytes(path.read_bytes()[:100])
    return folder


def options_of(photographs: Path, skip_bad_images: bool) -> PilotOptions:
    out = photographs.parent / "out"
    return PilotOptions(photographs, 0.02, 1000, 24, out=out, skip_bad_images=skip_bad_images)


def test_an_unreadable_photograph_stops_a_pilot_before_any_work(photographs: Path) -> None:
    with pytest.raises(UserError, match="--skip-bad-images"):
        open_photographs(options_of(photographs, False))


def test_unreadable_photographs_are_listed_and_left_out_of_every_run(photographs: Path) -> None:
    options = options_of(photographs, True)
    dataset, side, left_out = open_photographs(options)
    everything = list_data(photographs)
    assert len(left_out) == 2 and len(dataset.train) == len(everything.train) - 1
    options.folder.mkdir()
    write_left_out(options, left_out)
    plan = make_plan(options, dataset, side, Choice(DEFAULT_TOKENIZER))
    for config in plan.all_configs():
        assert config.leave_out == str(options.folder / "left_out.txt")
    remaining = leave_out(everything, options.folder / "left_out.txt")
    assert [image.name for image in remaining.train.images] == [
        image.name for image in dataset.train.images
    ]


def test_few_images_are_advised_more_epochs(fractals: Path, tmp_path: Path) -> None:
    options = PilotOptions(fractals, 0.02, 1000, 24, out=tmp_path)
    dataset, side, _ = open_photographs(options)
    plan = make_plan(options, dataset, side, Choice(DEFAULT_TOKENIZER))
    epochs = int(re.search(r"--epochs (\d+)", plan.advice())[1])  # type: ignore[index]
    assert epochs > options.epochs
    enough = make_plan(replace(options, epochs=epochs), dataset, side, plan.tokenizer)
    assert enough.steps() >= FEWEST_STEPS and enough.advice() == ""


def test_a_format_or_seed_given_twice_is_run_once_and_originals_are_kept_whole(
    fractals: Path, tmp_path: Path
) -> None:
    options = PilotOptions(
        *(fractals, 0.02, 1000, 24),
        out=tmp_path,
        formats=("tokens", "jpeg", "jpeg:original", "tokens", "jpeg:quality=75"),
        memory_mb=(0.01, 0.01),
        seed=(1, 1, 0),
    )
    dataset, side, _ = open_photographs(options)
    plan = make_plan(options, dataset, side, Choice(DEFAULT_TOKENIZER))
    kept = [(arm.format, arm.learner) for arm in plan.arms if arm.keeps_all]
    originals = [("jpeg:original", "tokens"), ("jpeg:original", "pixels")]
    others = [("tokens", "tokens"), ("jpeg", "tokens"), ("jpeg", "pixels")]
    assert kept == originals + others
    assert [(arm.format, arm.learner) for arm in plan.arms if not arm.keeps_all] == others
    configs = plan.all_configs()
    assert len(configs) == len(set(configs)) == 2 * 8
    assert [config.seed for config in plan.configs(plan.arms[0])] == [1, 0]


def test_the_list_goes_when_every_photograph_can_be_read(photographs: Path) -> None:
    options = options_of(photographs, True)
    options.folder.mkdir()
    write_left_out(options, ["train/a/1.jpg"])
    assert left_out_file(options) is not None
    write_left_out(options, [])
    assert left_out_file(options) is None
