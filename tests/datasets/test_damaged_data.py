"""Damaged data is named in one line, and unusual images are read as the folder's are."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features
from datasets import Dataset as HubDataset
from datasets import Image as HubImage
from PIL import Image

from helpers.dataset_samples import (
    CLASSES,
    arrays,
    jpeg,
    write_cifar,
    write_cifar_binary,
    write_folder,
    write_ilsvrc_tars,
    write_npz,
    write_parquet,
    write_webdataset,
)
from seit_cl.core.errors import UserError
from seit_cl.data.images import load_images
from seit_cl.datasets import list_data, open_data


def cut(path: Path, share: float = 0.5) -> None:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def cut_parquet(folder: Path) -> Path:
    cut(next(write_parquet(folder).glob("data/train-00001*")))
    return folder


def flipped_parquet(folder: Path) -> Path:
    path = next(write_parquet(folder).glob("data/train-00001*"))
    data = bytearray(path.read_bytes())
    data[50:400] = bytes(350)
    path.write_bytes(data)
    return folder


def parquet_without_labels(folder: Path) -> Path:
    for path in write_parquet(folder).glob("data/*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["label"]), path)
    return folder


def table(folder: Path, images: list[bytes | None], labels: list[int | None]) -> Path:
    """One parquet file of these rows; the others are those of the sample."""
    folder.mkdir()
    features = Features({"image": HubImage(), "label": ClassLabel(names=list(CLASSES))})
    stored = [None if data is None else {"bytes": data, "path": None} for data in images]
    rows = {"image": stored, "label": labels}
    HubDataset.from_dict(rows, features=features).to_parquet(folder / "train.parquet")
    return folder


def null_image(folder: Path) -> Path:
    return table(folder, [None, *[jpeg("train", 0, i) for i in range(6)]], [0, 0, 0, 1, 1, 2, 2])


def null_label(folder: Path) -> Path:
    return table(folder, [jpeg("train", 0, i) for i in range(6)], [None, 0, 1, 1, 2, 2])


def hidden_labels(folder: Path) -> Path:
    return table(folder, [jpeg("train", 0, i) for i in range(6)], [-1, 0, 1, 1, 2, 2])


def class_without_images(folder: Path) -> Path:
    return table(folder, [jpeg("train", 0, i) for i in range(4)], [0, 0, 1, 1])


def cut_shard(folder: Path) -> Path:
    cut(write_webdataset(folder) / "sample-train-0001.tar")
    return folder


def key_twice(folder: Path) -> Path:
    write_webdataset(folder)
    with tarfile.open(folder / "sample-train-0000.tar", "a") as archive:
        for suffix, data in (("jpg", jpeg("train", 0, 0)), ("cls", b"0")):
            member = tarfile.TarInfo(f"000000.{suffix}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder


def label_of_text(folder: Path) -> Path:
    write_webdataset(folder)
    with tarfile.open(folder / "sample-train-0009.tar", "w") as archive:
        for suffix, data in (("jpg", jpeg("train", 0, 0)), ("cls", b"an ant")):
            member = tarfile.TarInfo(f"x.{suffix}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder


def label_outside(folder: Path) -> Path:
    (write_webdataset(folder) / "classes.txt").write_text("ant\nbee\n")
    return folder


def sample_without_image(folder: Path) -> Path:
    folder.mkdir()
    with tarfile.open(folder / "train.tar", "w") as archive:
        member = tarfile.TarInfo("x.cls")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"0"))
    return folder


def cut_ilsvrc(folder: Path) -> Path:
    root = write_ilsvrc_tars(folder)
    cut(root / "ILSVRC2012_img_train.tar")
    return root


def ilsvrc_without_labels(folder: Path) -> Path:
    root = write_ilsvrc_tars(folder)
    (root / "LOC_val_solution.csv").unlink()
    return root


def cut_cifar(folder: Path) -> Path:
    cut(write_cifar(folder) / "cifar-10-batches-py" / "data_batch_3")
    return folder


def cut_archive(folder: Path) -> Path:
    path = write_cifar_binary(folder)
    cut(path)
    return path


def hostile_cifar(folder: Path) -> Path:
    path = write_cifar(folder) / "cifar-10-batches-py" / "data_batch_1"
    path.write_bytes(b"cos\nsystem\n(S'touch harmed'\ntR.")
    return folder


def cifar_of_other_shape(folder: Path) -> Path:
    path = write_cifar(folder) / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(pickle.dumps({"data": np.zeros((3, 99), np.uint8), "labels": [0, 1, 2]}))
    return folder


def cut_npz(folder: Path) -> Path:
    path = write_npz(folder)
    cut(path)
    return path


def save(folder: Path, **changed: np.ndarray) -> Path:
    """The .npz sample with other arrays."""
    folder.mkdir()
    x_train, y_train = arrays("train")
    saved = {"x_train": x_train, "y_train": y_train, "class_names": np.array(CLASSES), **changed}
    np.savez(folder / "data.npz", **saved)
    return folder / "data.npz"


def npz_of_objects(folder: Path) -> Path:
    return save(folder, y_train=np.array([{}] * len(arrays("train")[1]), dtype=object))


def npz_of_floats(folder: Path) -> Path:
    return save(folder, x_train=arrays("train")[0] / 255)


def npz_of_other_labels(folder: Path) -> Path:
    return save(folder, y_train=arrays("train")[1] + 1)


def npz_of_few_labels(folder: Path) -> Path:
    return save(folder, y_train=arrays("train")[1][1:])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (cut_parquet, r"train-00001-of-00002\.parquet: cannot be read"),
        (flipped_parquet, r"train-00001-of-00002\.parquet, .*: not a readable image"),
        (parquet_without_labels, "has no column 'label', but image; name others"),
        (null_image, "not a readable image"),
        (null_label, "1 rows have no label"),
        (hidden_labels, "has the label -1, and 3 classes"),
        (class_without_images, "train has no images of the class cat|only one image"),
        (cut_shard, r"sample-train-0001\.tar: cannot be read as a tar archive"),
        (key_twice, r"sample-train-0000\.tar: has the key '000000' twice"),
        (label_of_text, r"labels are no numbers"),
        (label_outside, "has the label 2, and 2 classes"),
        (sample_without_image, r"train\.tar, x: has cls and no image"),
        (cut_ilsvrc, r"img_train\.tar: cannot be read as a tar archive"),
        (ilsvrc_without_labels, "no labels"),
        (cut_cifar, r"data_batch_3: cannot be read"),
        (cut_archive, r"cifar-100-binary\.tar\.gz: cannot be read"),
        (hostile_cifar, r"data_batch_1: cannot be read \(it names os\.system\)"),
        (cifar_of_other_shape, r"test_batch: cannot be read"),
        (cut_npz, r"data\.npz: not a readable \.npz file"),
        (npz_of_objects, "y_train: holds Python objects"),
        (npz_of_floats, "x_train: images are of type float64"),
        (npz_of_other_labels, "has the label 3, and 3 classes"),
        (npz_of_few_labels, "y_train: has the shape"),
    ],
)
def test_damage_is_named_in_one_line(
    write: Callable[[Path], Path], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "data")
    with pytest.raises(UserError, match=words) as caught:
        open_data(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harmed").exists()


def test_a_null_image_can_be_skipped(tmp_path: Path) -> None:
    dataset = open_data(null_image(tmp_path / "data"), skip_bad_images=True)
    assert len(dataset.skipped) == 1
    assert len(dataset.train) + len(dataset.val) == 6


def test_cmyk_and_grey_images_become_rgb(tmp_path: Path) -> None:
    images: list[bytes | None] = []
    for mode in ("CMYK", "L", "RGB"):
        file = io.BytesIO()
        Image.new(mode, (32, 32), 60 if mode == "L" else None).save(file, "JPEG")
        images += [file.getvalue()] * 2
    dataset = open_data(table(tmp_path / "data", images, [0, 0, 1, 1, 2, 2]))
    assert load_images(dataset.train.images, 32).shape == (3, 3, 32, 32)


def test_names_that_are_no_utf_8_have_digests(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data")
    name = b"\xff\xfe.JPEG".decode(errors="surrogateescape")
    (root / "train" / "ant" / name).write_bytes(jpeg("train", 0, 9))
    dataset = open_data(root)
    assert dataset.identity != dataset.manifest
    shards = tmp_path / "shards"
    shards.mkdir()
    with tarfile.open(shards / "train.tar", "w", errors="surrogateescape") as archive:
        for number in range(2):
            for suffix, data in (("jpg", jpeg("train", 0, number)), ("cls", b"0")):
                member = tarfile.TarInfo(f"{number}\udcff.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    dataset = list_data(shards)
    assert dataset.identity == list_data(shards).identity
    assert dataset.train.images[0].read() in {jpeg("train", 0, 0), jpeg("train", 0, 1)}


def test_a_path_of_two_kinds_is_named_with_both(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data")
    write_webdataset(tmp_path / "shards")
    (tmp_path / "shards" / "sample-val-0000.tar").rename(root / "sample-val-0000.tar")
    with pytest.raises(UserError, match=r"may be folder or webdataset; choose one, e\.g\. --data"):
        list_data(root)
    assert list_data(f"folder:{root}").classes == list(CLASSES)


def test_paths_with_colons_commas_and_equals_signs_are_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder(tmp_path / "npz:a,b=c")
    assert list_data(root).classes == list(CLASSES)
    assert list_data(f"folder:{root}").root == root
    monkeypatch.chdir(tmp_path)
    assert list_data("npz:a,b=c").classes == list(CLASSES)
    with pytest.raises(UserError, match=r"C:\\images: no such folder"):
        list_data("C:\\images")


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("npz:", "a path is missing"),
        ("npz:missing.npz", "missing.npz: not a readable"),
        ("webdataset:nowhere", r"nowhere: has no \.tar files"),
        ("folder:nowhere,depth=2", "unknown option 'depth'"),
        ("fractals:classes=0", "must be at least 1"),
    ],
)
def test_a_bad_location_is_named(
    location: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        list_data(location)
