"""Hugging Face data sets by their name on the hub, and what the library's tables may hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import datasets
import huggingface_hub
import pytest

from helpers.dataset_samples import CLASSES, jpeg, rows, write_folder, write_parquet
from seit_cl.core.errors import UserError
from seit_cl.datasets import list_data, open_data


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library without a network, and its cache."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


def test_a_name_on_the_hub_is_opened_by_the_library(tmp_path: Path, offline: Path) -> None:
    data = write_parquet(tmp_path / "data") / "data"
    files = {name: str(data / f"{name}-*.parquet") for name in ("train", "validation")}
    datasets.load_dataset("parquet", data_files=files)
    (prepared,) = {path.parent for path in offline.rglob("dataset_info.json")}
    downloaded = offline / "org___tiny" / "default" / "0.0.0" / ("a" * 40)
    shutil.copytree(prepared, downloaded)  # as the cache has what was downloaded earlier
    for path in downloaded.glob("*.arrow"):
        path.rename(path.with_name(path.name.replace("parquet", "tiny")))
    dataset = open_data("huggingface:org/tiny")
    assert dataset.classes == list(CLASSES)
    assert [image.read() for image in dataset.train.images] == [
        jpeg("train", *row) for row in rows("train")
    ]


def test_a_name_that_cannot_be_downloaded_is_named_in_one_line(offline: Path) -> None:
    with pytest.raises(UserError, match=r"huggingface:org/none: cannot be opened") as caught:
        list_data("huggingface:org/none")
    assert "\n" not in str(caught.value)


def test_images_that_a_table_names_by_path_are_read_from_there(
    tmp_path: Path, offline: Path
) -> None:
    root = write_folder(tmp_path / "images")
    table = datasets.load_dataset("imagefolder", data_dir=str(root))
    table.save_to_disk(tmp_path / "saved")
    dataset = open_data(tmp_path / "saved")
    expected = {path.read_bytes() for path in root.rglob("train/*/*.JPEG")}
    assert {image.read() for image in dataset.train.images} == expected
    assert dataset.classes == list(CLASSES)


def test_columns_are_chosen_by_option(tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "data")
    for path in folder.glob("data/*.parquet"):
        table = datasets.Dataset.from_parquet(str(path))
        renamed = table.rename_columns({"image": "photo", "label": "kind"})
        renamed.add_column("place", [0] * len(renamed)).to_parquet(path)
    assert list_data(folder).classes == list(CLASSES)  # the only columns of their types
    only = list_data(f"huggingface:{folder},image=photo,label=place")
    assert only.classes == ["0"]
