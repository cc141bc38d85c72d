"""Image folders: the files that are listed, and the messages about damaged folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from seit_cl.core.errors import UserError
from seit_cl.data.folder import open_folder


def put(path: Path, size: tuple[int, int] = (40, 32)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    Image.effect_noise(size, 60).convert("RGB").save(path, kind)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("n02", "n01"):
        for split, count in (("train", 3), ("val", 2)):
            for i in range(count):
                put(tmp_path / "set" / split / name / f"{i}.JPEG")
    return tmp_path / "set"


def test_classes_files_and_labels_are_sorted(root: Path) -> None:
    data = open_folder(root)
    assert (data.name, data.root, data.classes, data.skipped) == ("set", root, ["n01", "n02"], ())
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.labels.dtype == torch.int64
    assert [image.name for image in data.val.images] == [
        "val/n01/0.JPEG",
        "val/n01/1.JPEG",
        "val/n02/0.JPEG",
        "val/n02/1.JPEG",
    ]


def test_files_one_folder_deeper_and_any_suffix_are_found_and_others_ignored(root: Path) -> None:
    for name in ("images/x.png", "images/y.JPG", "z.jpeg"):
        put(root / "train/n01" / name)
    (root / "train/n01/boxes.txt").write_text("no image")
    (root / "train/n01/._0.JPEG").write_text("left by a Mac")
    assert [image.name.split("/")[-1] for image in open_folder(root).train.images[:6]] == [
        "0.JPEG",
        "1.JPEG",
        "2.JPEG",
        "z.jpeg",
        "x.png",
        "y.JPG",
    ]


def test_tiny_imagenets_own_val_layout_is_read(tmp_path: Path) -> None:
    for name in ("n01", "n02"):
        put(tmp_path / "train" / name / "images" / "a.JPEG")
    for i in range(3):
        put(tmp_path / "val/images" / f"val_{i}.JPEG")
    lines = [f"val_{i}.JPEG\tn0{1 + i % 2}\t0\t0\t9\t9\n" for i in range(3)]
    (tmp_path / "val/val_annotations.txt").write_text("".join(lines))
    val = open_folder(tmp_path).val
    assert [image.name.split("/")[-1] for image in val.images] == [
        "val_0.JPEG",
        "val_2.JPEG",
        "val_1.JPEG",
    ]
    assert val.labels.tolist() == [0, 0, 1]


def test_an_annotation_without_its_file_is_named_with_its_line(tmp_path: Path) -> None:
    put(tmp_path / "train/n01/a.JPEG")
    put(tmp_path / "val/images/v.JPEG")
    (tmp_path / "val/val_annotations.txt").write_text("v.JPEG\tn01\ngone.JPEG\tn01\n")
    with pytest.raises(UserError, match="line 2"):
        open_folder(tmp_path)


def message(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_folder(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    assert "nowhere: no such folder" in message(tmp_path / "nowhere")


def test_a_root_without_train_or_val_names_the_expected_layout(root: Path, tmp_path: Path) -> None:
    assert "no train/ folder" in message(tmp_path)


def test_a_split_without_class_folders_is_named(tmp_path: Path) -> None:
    put(tmp_path / "train/a.png")
    assert "train: has no class folders" in message(tmp_path)


def test_a_class_without_images_is_named(root: Path) -> None:
    for path in (root / "val/n02").iterdir():
        path.unlink()
    assert "n02" in message(root)
    assert "val" in message(root)


def test_some_of_the_classes_that_differ_are_named(root: Path) -> None:
    for i in range(5):
        put(root / "train" / f"n1{i}" / "a.png")
    assert "n10, n11, n12 and 2 more in train/ but not in val/" in message(root)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("bad.JPEG", "empty"),
        ("bad.JPEG", "text"),
        ("bad.JPEG", "truncated"),
        ("bad.png", "empty"),
        ("bad.png", "text"),
        ("bad.png", "truncated"),
        ("bad.png", "flipped"),
    ],
)
def test_an_unreadable_image_is_named_or_skipped_and_counted(
    root: Path, name: str, harm: str
) -> None:
    bad = put(root / "train/n01" / name)
    data = bad.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
    contents = {"empty": b"", "text": b"no image", "truncated": data[:middle], "flipped": flipped}
    bad.write_bytes(contents[harm])
    assert message(root).startswith(f"{bad}: not a readable image")
    dataset = open_folder(root, skip_bad_images=True)
    assert dataset.skipped == (str(bad),)
    assert len(dataset.train) == 6
    assert str(bad) not in map(str, dataset.train.images)


def test_a_class_left_without_images_by_skipping_is_an_error(root: Path) -> None:
    for path in (root / "val/n02").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="n02"):
        open_folder(root, skip_bad_images=True)


def test_a_jpeg_with_bytes_after_its_end_is_readable(root: Path) -> None:
    path = root / "train/n01/0.JPEG"
    path.write_bytes(path.read_bytes() + b"trailing")
    assert open_folder(root).skipped == ()


def test_the_manifest_changes_with_files_sizes_and_times_only(root: Path) -> None:
    seen = [open_folder(root).manifest]
    assert open_folder(root).manifest == seen[0]
    assert len(seen[0]) == 16
    os.utime(root / "val/n01/0.JPEG", (1, 1))
    seen.append(open_folder(root).manifest)
    put(root / "train/n02/new.png")
    seen.append(open_folder(root).manifest)
    assert len(set(seen)) == 3


def test_the_manifest_does_not_depend_on_where_the_root_is(root: Path) -> None:
    before = open_folder(root).manifest
    assert open_folder(root.rename(root.parent / "moved")).manifest == before
