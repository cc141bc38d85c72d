"""The built-in fractals: the same everywhere, learnable, and not trivial."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.data.fractals import open_fractals, render, write_fractals


def test_the_same_call_gives_the_same_images() -> None:
    images, labels = render(3, 4, 32, 0, "train")
    again, _ = render(3, 4, 32, 0, "train")
    assert images.shape == (12, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert torch.equal(images, again)
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_an_image_depends_on_its_class_and_index_alone() -> None:
    few, _ = render(2, 3, 32, 0, "train")
    many, _ = render(4, 40, 32, 0, "train")
    assert torch.equal(few[3:], many[40:43])


def test_seeds_splits_and_indices_give_different_images() -> None:
    images, _ = render(1, 2, 32, 0, "train")
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images, render(1, 2, 32, 1, "train")[0])
    assert not torch.equal(images, render(1, 2, 32, 0, "val")[0])


@pytest.mark.parametrize("side", [32, 100, 256])
def test_every_image_has_a_shape_in_it(side: int) -> None:
    images, _ = render(6, 2, side, 3, "train")
    assert images.float().std((2, 3)).mean(1).min() > 8


def shape_features(images: Tensor) -> Tensor:
    """Blurred gradient strengths (N, F): features of shapes without their colour."""
    grey = images.float().mean(1, keepdim=True)
    across = grey[..., :-1, 1:] - grey[..., :-1, :-1]
    down = grey[..., 1:, :-1] - grey[..., :-1, :-1]
    maps = torch.cat([across.abs(), down.abs()], 1)
    return F.normalize(F.adaptive_avg_pool2d(maps, 12).flatten(1).sqrt(), dim=1)


def knn(train: Tensor, train_labels: Tensor, val: Tensor, val_labels: Tensor, k: int = 5) -> float:
    """Accuracy of a vote among the k nearest."""
    near = train_labels[torch.cdist(val, train).topk(k, largest=False).indices]
    return (near.mode(1).values == val_labels).float().mean().item()


def test_shape_predicts_the_class_above_chance_and_better_than_colour() -> None:
    train, train_labels = render(10, 100, 64, 0, "train")
    val, val_labels = render(10, 30, 64, 0, "val")
    by_shape = knn(shape_features(train), train_labels, shape_features(val), val_labels)
    colour = [torch.cat([x.float().mean((2, 3)), x.float().std((2, 3))], 1) for x in (train, val)]
    by_colour = knn(colour[0], train_labels, colour[1], val_labels)
    assert 0.1 < by_colour < by_shape - 0.1 < 0.9


def test_the_written_set_reads_back_as_rendered(tmp_path: Path) -> None:
    data = open_fractals(tmp_path, 3, 4, 2, 32)
    assert (data.name, data.classes) == ("fractals", ["fractal0000", "fractal0001", "fractal0002"])
    images, labels = render(3, 4, 32, 0, "train")
    assert torch.equal(data.train.labels, labels)
    assert len(data.val) == 6
    for stored, image in zip(data.train.images, images, strict=True):
        assert np.array_equal(np.asarray(Image.open(stored.open())), image.permute(1, 2, 0).numpy())


def test_the_manifest_is_the_same_wherever_and_whenever_it_is_written(tmp_path: Path) -> None:
    manifests = {open_fractals(tmp_path / name, 2, 3, 2, 32).manifest for name in ("a", "b")}
    assert len(manifests) == 1
    assert open_fractals(tmp_path / "a", 2, 3, 2, 32, seed=1).manifest not in manifests


def test_an_existing_set_is_not_written_again(tmp_path: Path) -> None:
    done: list[int] = []
    root = write_fractals(tmp_path / "set", 2, 3, 2, 32, progress=done.append)
    assert done[-1] == 10
    assert sorted(p.name for p in root.iterdir()) == [
        "fractals.json",
        "train",
        "val",
    ]
    shutil.rmtree(root / "val")
    write_fractals(root, 2, 3, 2, 32, progress=done.append)
    assert not (root / "val").exists()
    assert done[-1] == 10


def test_a_folder_with_other_contents_is_refused(tmp_path: Path) -> None:
    root = write_fractals(tmp_path / "set", 2, 3, 2, 32)
    with pytest.raises(UserError, match="is not this set"):
        write_fractals(root, 2, 3, 2, 40)


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_fractals(tmp_path / "set", 2, 3, 2, 32, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sizes", [(0, 1, 32), (1, 0, 32), (1, 1, 16), (1, 1, 512)])
def test_sizes_out_of_range_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match="fractals"):
        render(*sizes, 0, "train")


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UserError, match="seed -1"):
        render(1, 1, 32, -1, "train")
