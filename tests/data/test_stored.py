"""Stored images: image files of a folder, and the digests of a dataset over them."""

import hashlib
import pickle
from pathlib import Path

import pytest

from seit_cl.core.errors import UserError
from seit_cl.data.folder import list_folder


def test_a_folders_digests_are_over_names_sizes_and_times(fractals: Path) -> None:
    identity = hashlib.sha256()
    manifest = hashlib.sha256()
    for split in ("train", "val"):
        for path in sorted((fractals / split).rglob("*.png")):
            name = path.relative_to(fractals).as_posix()
            stat = path.stat()
            identity.update(f"{name}\0{stat.st_size}\n".encode())
            manifest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    dataset = list_folder(fractals)
    assert dataset.identity == identity.hexdigest()[:16]
    assert dataset.manifest == manifest.hexdigest()[:16]


def test_an_image_file_is_named_below_its_root_and_read_byte_for_byte(fractals: Path) -> None:
    image = pickle.loads(pickle.dumps(list_folder(fractals).train.images[0]))
    path = fractals / image.name
    assert str(image) == str(path)
    assert image.read() == path.read_bytes() == image.open().read()
    assert image.pixels() is None


def test_a_file_that_has_gone_is_named(tmp_path: Path, fractals: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    dataset = list_folder(tmp_path)
    (tmp_path / "a/1.png").unlink()
    with pytest.raises(UserError, match=r"a/1\.png: cannot be read .*; restore it"):
        _ = dataset.identity
