"""ILSVRC's flat val folder gets its classes from the devkit or from Kaggle's table."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from seit_cl.core.errors import UserError
from seit_cl.data.folder import open_folder
from seit_cl.data.fractals import render

WNIDS = ("n01", "n02", "n03")
IDS = (2, 3, 1)  # ILSVRC2012_ID of each wnid: in no order of the names
TRUTH = (1, 2, 2, 3, 1, 3, 2, 1, 3)
DEVKIT = "ILSVRC2012_devkit_t12"


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return [Image.fromarray(x.permute(1, 2, 0).numpy()) for x in render(3, 3, 32, 5, "train")[0]]


@pytest.fixture
def root(tmp_path: Path, pictures: list[Image.Image]) -> Path:
    """train/<wnid>/ and a flat val/, no labels beside."""
    root = tmp_path / "imagenet"
    for name in WNIDS:
        (root / "train" / name).mkdir(parents=True)
        pictures[0].save(root / "train" / name / f"{name}_1.JPEG")
    (root / "val").mkdir()
    for number, picture in enumerate(pictures, 1):
        picture.save(root / "val" / f"ILSVRC2012_val_{number:08d}.JPEG")
    return root


def devkit(root: Path, truth: tuple[int, ...] = TRUTH) -> Path:
    """Write a devkit like the published one: the synsets of classes, then inner nodes."""
    data = root / DEVKIT / "data"
    data.mkdir(parents=True)
    rows = [(i, wnid, "words", 0) for i, wnid in zip(IDS, WNIDS, strict=True)] + [
        (4, "n00", "inner", 3)
    ]
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    savemat(data / "meta.mat", {"synsets": np.array(rows, dtype=kind)[:, None]})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text(
        "".join(f"{label}\n" for label in truth)
    )
    return data.parent


def solution(path: Path) -> None:
    """In another order than the images, with boxes, as Kaggle's."""
    wnid = dict(zip(IDS, WNIDS, strict=True))
    lines = [
        f"ILSVRC2012_val_{n:08d},{wnid[label]} 1 2 30 31 {wnid[label]} 3 4 5 6 \n"
        for n, label in enumerate(TRUTH, 1)
    ]
    path.write_text("ImageId,PredictionString\n" + "".join(reversed(lines)))


def val(root: Path) -> dict[str, list[int]]:
    """The numbers of the val images of every class."""
    data = open_folder(root)
    numbers: dict[str, list[int]] = {name: [] for name in data.classes}
    for image, label in zip(data.val.images, data.val.labels.tolist(), strict=True):
        numbers[data.classes[label]].append(int(Path(image.name).stem[-8:]))
    return numbers


RIGHT = {"n01": [2, 3, 7], "n02": [4, 6, 9], "n03": [1, 5, 8]}


def test_an_unpacked_devkit_beside_train_and_val_gives_the_classes(root: Path) -> None:
    devkit(root)
    assert val(root) == RIGHT


def test_the_devkits_archive_gives_the_classes(root: Path) -> None:
    folder = devkit(root)
    with tarfile.open(root / f"{DEVKIT}.tar.gz", "w:gz") as archive:
        archive.add(folder, DEVKIT)
    shutil.rmtree(folder)
    assert val(root) == RIGHT


def test_kaggles_table_gives_the_classes_beside_train_or_in_its_archive(root: Path) -> None:
    solution(root / "LOC_val_solution.csv")
    assert val(root) == RIGHT
    inside = root.parent / "kaggle/ILSVRC/Data/CLS-LOC"
    inside.parent.mkdir(parents=True)
    shutil.move(root, inside)
    shutil.move(inside / "LOC_val_solution.csv", root.parent / "kaggle")
    assert val(inside) == RIGHT


def test_where_train_has_some_of_the_classes_val_has_the_same(root: Path) -> None:
    devkit(root)
    shutil.rmtree(root / "train/n02")
    assert val(root) == {name: RIGHT[name] for name in ("n01", "n03")}


def message(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_folder(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_labels_are_named_with_a_remedy(root: Path) -> None:
    text = message(root)
    assert str(root / "val") in text
    assert f"{DEVKIT}.tar.gz" in text
    assert "LOC_val_solution.csv" in text


@pytest.mark.parametrize("lines", [8, 10])
def test_a_devkit_with_a_wrong_number_of_lines_is_named(lines: int, root: Path) -> None:
    devkit(root, (TRUTH + TRUTH)[:lines])
    text = message(root)
    assert str(root / DEVKIT) in text
    assert f"{lines} lines" in text
    assert "9 images" in text


def test_an_image_without_a_label_is_named(root: Path) -> None:
    devkit(root)
    (root / "val/ILSVRC2012_val_00000003.JPEG").rename(root / "val/ILSVRC2012_val_00000012.JPEG")
    assert "ILSVRC2012_val_00000012" in message(root)


def test_a_label_without_its_class_is_named(root: Path) -> None:
    devkit(root, (*TRUTH[:-1], 77))
    assert "number 77" in message(root)


@pytest.mark.parametrize("harm", ["meta", "truth", "missing", "archive"])
def test_a_damaged_devkit_is_named(harm: str, root: Path) -> None:
    data = devkit(root) / "data"
    if harm == "meta":
        (data / "meta.mat").write_bytes((data / "meta.mat").read_bytes()[:200])
    elif harm == "truth":
        (data / "ILSVRC2012_validation_ground_truth.txt").write_text("one\n")
    elif harm == "missing":
        (data / "meta.mat").unlink()
    else:
        shutil.rmtree(root / DEVKIT)
        (root / f"{DEVKIT}.tar.gz").write_bytes(b"no archive")
    assert DEVKIT in message(root)
    assert "download it again" in message(root)


def test_a_table_that_is_not_kaggles_is_named_with_its_line(root: Path) -> None:
    (root / "LOC_val_solution.csv").write_text(
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n01 1 2 3 4\nbroken\n"
    )
    assert "LOC_val_solution.csv, line 3" in message(root)


def test_images_half_moved_into_class_folders_are_refused(root: Path) -> None:
    devkit(root)
    (root / "val/n01").mkdir()
    assert "class folders and images beside them" in message(root)
