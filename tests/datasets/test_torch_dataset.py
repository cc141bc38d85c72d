"""Torch datasets from Python as data sets."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset
from torchvision.datasets import CIFAR10, ImageFolder
from torchvision.transforms import v2

from helpers.dataset_samples import CLASSES, SIDE, TRAIN, VAL, arrays, write_cifar, write_folder
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.images import load_images
from seit_cl.datasets import from_torch, list_data
from seit_cl.experiment.run_data import RunData

TO_TENSOR = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def tensors(split: str) -> TensorDataset:
    """The sample as uint8 tensors (N, 3, S, S)."""
    images, labels = arrays(split)
    return TensorDataset(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels))


def test_a_tensor_dataset_is_a_data_set_of_its_pixels() -> None:
    dataset = from_torch(tensors("train"), tensors("val"), classes=CLASSES)
    assert dataset.classes == list(CLASSES)
    assert not dataset.has_files
    loaded = load_images(dataset.val.images, SIDE).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(loaded, arrays("val")[0])
    assert dataset.val.labels.tolist() == arrays("val")[1].tolist()
    assert pickle.loads(pickle.dumps(dataset)).identity == dataset.identity


def test_classes_and_targets_of_a_torchvision_dataset_are_taken(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    by_torch = from_torch(ImageFolder(str(root / "train")), ImageFolder(str(root / "val")))
    by_folder = list_data(root)
    assert by_torch.classes == by_folder.classes
    assert torch.equal(by_torch.train.labels, by_folder.train.labels)
    assert torch.equal(
        load_images(by_torch.train.images, SIDE), load_images(by_folder.train.images, SIDE)
    )


def test_floats_of_to_tensor_become_the_bytes_that_they_were(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    plain = from_torch(ImageFolder(str(root / "train")))
    floats = from_torch(ImageFolder(str(root / "train"), transform=TO_TENSOR))
    assert floats.identity == plain.identity
    assert floats.held_out
    assert len(floats.train) + len(floats.val) == len(CLASSES) * TRAIN


def test_labels_without_names_are_named_after_their_numbers() -> None:
    images, labels = arrays("train")
    items = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels) * 10)
    assert from_torch(items).classes == ["0", "10", "20"]


def test_a_run_takes_the_data_set() -> None:
    dataset = from_torch(tensors("train"), tensors("val"))
    data = RunData(RunConfig(), dataset=dataset)
    assert data.resolution == SIDE
    assert data.test_tokens.shape[0] == VAL * len(CLASSES)


def test_processes_map_the_pixels_and_do_not_copy_them(tmp_path: Path) -> None:
    dataset = list_data(write_cifar(tmp_path))
    buffers: list[pickle.PickleBuffer] = []
    small = pickle.dumps(dataset, 5, buffer_callback=buffers.append)
    assert len(small) < len(dataset.train) * SIDE * SIDE
    assert max(len(buffer.raw()) for buffer in buffers) == len(dataset.train) * 3 * SIDE * SIDE


def changing(items: TensorDataset) -> Any:
    class Random(TensorDataset):
        def __getitem__(self, index: int) -> Any:
            return torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8), 0

    return Random(*items.tensors)


def without_label(items: TensorDataset) -> Any:
    return TensorDataset(items.tensors[0])


def normalised(items: TensorDataset) -> Any:
    return TensorDataset(items.tensors[0].float() / 64 - 2, items.tensors[1])


def five_channels(items: TensorDataset) -> Any:
    images = items.tensors[0]
    return TensorDataset(torch.cat([images, images[:, :2]], 1), items.tensors[1])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (changing, "item 0 changes when it is read again"),
        (without_label, r"item 0 is no \(image, label\)"),
        (normalised, "values outside 0 to 1"),
        (five_channels, "shape"),
    ],
)
def test_items_of_another_kind_are_named(harm: Callable[[TensorDataset], Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        from_torch(harm(tensors("train")))


def test_labels_outside_the_classes_are_named() -> None:
    with pytest.raises(UserError, match="image 2 has the label 2, and 2 classes"):
        from_torch(tensors("train"), classes=CLASSES[:2])


def test_torchvision_reads_the_sample_of_cifar_as_we_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_cifar(tmp_path)
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)  # digests of the original
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": None})
    theirs = from_torch(CIFAR10(str(root), train=True), CIFAR10(str(root), train=False))
    ours = list_data(root)
    assert theirs.classes == ours.classes
    assert theirs.train.labels.tolist() == ours.train.labels.tolist()
    assert torch.equal(load_images(theirs.train.images, 32), load_images(ours.train.images, 32))
