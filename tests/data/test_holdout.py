"""Pictures without a val split: a part of every class is held out, the same on every machine."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.folder import open_folder
from seit_cl.data.fractals import write_fractals, write_split
from seit_cl.data.holdout import Holdout
from seit_cl.experiment.run_data import open_dataset
from seit_cl.experiment.shared_data import open_data
from seit_cl.grid import run_grid


def paths(name: str, count: int) -> list[Path]:
    return [Path("photos") / name / f"{i:03d}.jpg" for i in range(count)]


def split(fraction: float = 0.2, seed: int = 0, **counts: int) -> tuple[Any, Any]:
    return Holdout(fraction, seed).split(
        Path("photos"), {name: paths(name, count) for name, count in counts.items()}
    )


@given(st.floats(0.001, 0.999), st.integers(0, 2**40), st.integers(2, 80), st.integers(2, 80))
def test_every_class_is_partitioned_with_the_fraction_held_out_and_one_left_on_each_side(
    fraction: float, seed: int, a: int, b: int
) -> None:
    train, val = split(fraction, seed, a=a, b=b)
    for name, count in (("a", a), ("b", b)):
        assert sorted(train[name] + val[name]) == paths(name, count)
        assert train[name] == sorted(train[name])
        assert val[name] == sorted(val[name])
        assert 1 <= len(val[name]) <= count - 1
        assert abs(len(val[name]) - fraction * count) <= 0.5 or len(val[name]) in (1, count - 1)


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 20))
def test_new_images_in_a_class_change_no_other_split_and_little_of_its_own(
    a: int, b: int, more: int
) -> None:
    _, before = split(a=a, b=b)
    _, after = split(a=a, b=b + more)
    assert after["a"] == before["a"]
    assert len(set(before["b"]) - set(after["b"])) <= more


def test_the_choice_is_the_same_on_every_machine() -> None:
    """The least sha256 of "seed NUL class/name": any machine gives these."""
    assert [path.name for path in split(a=10)[1]["a"]] == ["000.jpg", "002.jpg"]
    assert [path.name for path in split(seed=1, a=10)[1]["a"]] == ["002.jpg", "004.jpg"]


def test_composed_and_decomposed_letters_give_the_same_choice() -> None:
    def held_out(letter: str) -> list[int]:
        files = [Path("photos/a") / f"{letter}{i}.jpg" for i in range(20)]
        _, val = Holdout().split(Path("photos"), {"a": files})
        return [files.index(path) for path in val["a"]]

    assert held_out("\u00e9") == held_out("e\u0301")


def test_a_class_with_a_single_image_is_named() -> None:
    with pytest.raises(UserError, match=r"only one image in lonely; .* move this class out"):
        split(lonely=1, a=5)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A plain folder of 3 classes with 10 images each."""
    return write_fractals(tmp_path / "made", 3, 10, 1, 32) / "train"


def test_a_folder_for_every_class_is_a_dataset_and_so_is_train_alone(
    photos: Path, tmp_path: Path
) -> None:
    plain = open_folder(photos)
    assert (len(plain.train), len(plain.val), len(plain.classes)) == (24, 6, 3)
    assert torch.bincount(plain.val.labels).tolist() == [2, 2, 2]
    assert plain.held_out == "no val/: 20 % of every class held out, --split-seed 0"
    (tmp_path / "alone").mkdir()
    photos.rename(tmp_path / "alone/train")
    alone = open_folder(tmp_path / "alone")
    assert [image.name for image in alone.val.images] == [
        f"train/{image.name}" for image in plain.val.images
    ]


def test_another_fraction_or_seed_is_another_dataset(photos: Path) -> None:
    holdouts = (Holdout(0.2, 0), Holdout(0.5, 0), Holdout(0.2, 1))
    datasets = [open_folder(photos, holdout=holdout) for holdout in holdouts]
    assert len({data.identity for data in datasets}) == 3
    assert len({data.manifest for data in datasets}) == 3


def test_an_empty_class_is_named(photos: Path) -> None:
    (photos / "zebra").mkdir()
    with pytest.raises(UserError, match="without readable images: zebra"):
        open_folder(photos)


def test_options_of_the_holdout_are_refused_for_a_folder_with_val(fractals: Path) -> None:
    with pytest.raises(UserError, match="--val-fraction"):
        open_dataset(RunConfig(data_root=fractals, val_fraction=0.3))


@pytest.mark.parametrize(
    "option", [{"val_fraction": 0.0}, {"val_fraction": 1.0}, {"split_seed": -1}]
)
def test_invalid_fractions_and_seeds_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="must be"):
        RunConfig(**option)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"val_fraction": 0.99}, "--val-fraction 0.99 leaves 2 images to train on, 1 of the smal"),
        ({"validation_fraction": 0.9}, "--validation-fraction 0.9 leaves some 2 of 16 images"),
    ],
)
def test_few_training_images_are_named(tmp_path: Path, option: dict[str, Any], words: str) -> None:
    images = torch.zeros(20, 3, 32, 32, dtype=torch.uint8)
    write_split(tmp_path / "my_photos", images, torch.arange(2).repeat_interleave(10), 10)
    config = RunConfig(data_root=tmp_path / "my_photos", learner="pixels", format="raw", **option)
    console = Console(record=True, width=300, file=io.StringIO())
    with Progress(console=console) as bars:
        open_data([config], tmp_path / "out", bars)
    assert f"warning: {words}" in console.export_text()


def test_a_run_on_a_plain_folder_prints_and_records_its_holdout(tmp_path: Path) -> None:
    images = torch.randint(
        0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    write_split(tmp_path / "my_photos", images, torch.arange(2).repeat_interleave(4), 4)
    config = RunConfig(
        data_root=tmp_path / "my_photos",
        strategy="naive",
        memory_mb=0,
        format="",
        experiences=1,
        epochs=1,
        batch=4,
        device="cpu",
        seed=3,
    )
    console = Console(record=True, width=200, file=(tmp_path / "log").open("w"))
    assert run_grid([config], tmp_path / "out", console) == []
    description = "no val/: 20 % of every class held out, --split-seed 0"
    assert (
        f"dataset my_photos: 2 classes, 6 train and 2 val images at 32 px; {description}"
        in console.export_text()
    )
    (environment,) = (
        json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/environment.json")
    )
    assert environment["held_out"] == description
