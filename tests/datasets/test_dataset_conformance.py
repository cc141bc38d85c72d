"""Every kind of data set, opened from a sample that the library of its format has written."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from helpers.dataset_samples import CLASSES, SAMPLES, TRAIN, VAL, jpeg, pixels
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.cli import run_command
from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.images import load_images
from seit_cl.data.samples import Samples
from seit_cl.datasets import list_data, open_data
from seit_cl.datasets._opening import recognise
from seit_cl.experiment.build import format_context
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import build_format
from seit_cl.run import main

WITH_IMAGES = [name for name, sample in SAMPLES.items() if sample.images]
WITH_FILES = [name for name, sample in SAMPLES.items() if sample.files]
WITH_PIXELS = [name for name in WITH_IMAGES if name not in WITH_FILES]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The path of every sample."""
    folder = tmp_path_factory.mktemp("samples")
    return {name: sample.write(folder / name) for name, sample in SAMPLES.items()}


def expected_rows(dataset: Dataset, split: str) -> list[tuple[int, int]]:
    """Label and number of the sample's images in the order of the dataset."""
    labels = (dataset.train if split == "train" else dataset.val).labels.tolist()
    numbers = dict.fromkeys(range(len(CLASSES)), 0)
    found = []
    for label in labels:
        found.append((label, numbers[label]))
        numbers[label] += 1
    return found


def test_every_plugin_has_a_sample_or_makes_its_data() -> None:
    sampled = {sample.plugin for sample in SAMPLES.values()}
    for name in plugins.names("dataset"):
        plugin = plugins.load("dataset", name)
        assert plugin.layout
        assert (name in sampled) == plugin.needs_location, name


@pytest.mark.parametrize("name", SAMPLES)
def test_one_plugin_recognises_the_sample(name: str, paths: dict[str, Path]) -> None:
    assert recognise(paths[name]) == SAMPLES[name].plugin


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_has_its_classes_and_images_and_pickles(name: str, paths: dict[str, Path]) -> None:
    sample = SAMPLES[name]
    dataset = list_data(paths[name])
    assert len(dataset.classes) == len(CLASSES)
    assert torch.bincount(dataset.train.labels).tolist() == [TRAIN] * len(CLASSES)
    assert dataset.has_images == sample.images
    if sample.images:
        assert dataset.classes == list(CLASSES)
        assert torch.bincount(dataset.val.labels).tolist() == [VAL] * len(CLASSES)
        names = [image.name for image in [*dataset.train.images, *dataset.val.images]]
        assert len(set(names)) == len(names)
        assert all(not Path(text).is_absolute() for text in names)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.manifest == dataset.manifest
    assert copy.identity == dataset.identity == list_data(f"{sample.plugin}:{paths[name]}").identity


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_images_are_those_of_the_sample_in_any_process(name: str, paths: dict[str, Path]) -> None:
    sample = SAMPLES[name]
    dataset = pickle.loads(pickle.dumps(open_data(paths[name])))
    for split, part in (("train", dataset.train), ("val", dataset.val)):
        loaded = load_images(part.images, 32).permute(0, 2, 3, 1).numpy()
        for image, row in zip(loaded, expected_rows(dataset, split), strict=True):
            expected = pixels(split, *row)
            if sample.files:
                expected = np.asarray(Image.open(io.BytesIO(jpeg(split, *row))))
            assert np.array_equal(image, expected)


@pytest.mark.parametrize("name", WITH_FILES)
def test_stored_bytes_reach_jpeg_original(name: str, paths: dict[str, Path]) -> None:
    data = RunData(RunConfig(data_root=paths[name]))
    ids = torch.arange(len(data.dataset.train))
    data.require_files("--format jpeg:original")
    fmt = build_format("jpeg:original", format_context(data, len(CLASSES)))
    records = fmt.encode(Samples(ids, data.dataset.train.labels, data))
    expected = [jpeg("train", *row) for row in expected_rows(data.dataset, "train")]
    assert records.to_bytes() == expected


@pytest.mark.parametrize("name", WITH_PIXELS)
def test_pixels_without_files_are_refused_by_jpeg_original(
    name: str, paths: dict[str, Path]
) -> None:
    data = RunData(RunConfig(data_root=paths[name]))
    with pytest.raises(UserError, match="jpeg:original: stores image files"):
        data.require_files("--format jpeg:original")
    with pytest.raises(UserError, match="no image files"):
        data.files(torch.tensor([0]))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_copy_of_the_data_has_its_identity_and_a_change_another_manifest(
    name: str, paths: dict[str, Path], tmp_path: Path
) -> None:
    sample = SAMPLES[name]
    dataset = list_data(paths[name])
    again = sample.write(tmp_path / name)
    copy = list_data(again)
    if name != "token-file":  # its name is that of its folder
        assert copy.identity == dataset.identity
    if not sample.images:
        return
    changed = copy.manifest
    largest = max(
        (path for path in [again, *again.rglob("*")] if path.is_file()),
        key=lambda path: (path.stat().st_size, path.name),
    )
    os.utime(largest, (1, 1))
    if sample.files:
        assert list_data(again).manifest != changed


def run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[object, str]:
    """`python -m seit_cl.run` in the test's process: exit code and standard error."""
    monkeypatch.setattr(
        "sys.argv", ["run", "--experiences", "3", "--epochs", "1", *map(str, words)]
    )
    code: object = 0
    try:
        run_command(main)
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().err


@pytest.mark.parametrize("name", ["webdataset", "parquet", "cifar-10-python"])
def test_a_run_learns_from_the_sample(
    name: str,
    paths: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sample = SAMPLES[name]
    location = f"{sample.plugin}:{paths[name]}"
    fmt = "jpeg:original" if sample.files else "raw"
    options = ["--memory-mb", "0.02", "--format", fmt, "--out", tmp_path / "out"]
    code, error = run_here(monkeypatch, capsys, "--data-root", location, *options)
    assert (code, error) == (0, "")
    (record,) = (tmp_path / "out").glob("*/config.yaml")
    assert yaml.safe_load(record.read_text())["data_root"] == location


def test_a_damaged_sample_ends_a_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = SAMPLES["webdataset"].write(tmp_path / "shards")
    shard = root / "sample-train-0001.tar"
    shard.write_bytes(shard.read_bytes()[:3000])
    code, error = run_here(monkeypatch, capsys, "--data-root", root, "--out", tmp_path / "out")
    assert code == 2
    assert error.startswith(f"error: {shard}: cannot be read as a tar archive")
    assert len(error.splitlines()) == 1
