"""Small samples of every kind of data set, written by the library that people make it with.

Each has CLASSES classes, TRAIN images of each to train on and VAL to test on, of SIDE pixels.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import ClassLabel, DatasetDict, Features
from datasets import Dataset as HubDataset
from datasets import Image as HubImage
from PIL import Image
from webdataset import ShardWriter

from helpers.release_files import write_release
from helpers.tokenizer_samples import untrained
from seit_cl.tokenizers.commands.encode import Encode, encode_command

CLASSES = ("ant", "bee", "cat")
TRAIN = 4
VAL = 2
SIDE = 32  # pixels


def pixels(split: str, label: int, number: int) -> np.ndarray:
    """An image (SIDE, SIDE, 3) uint8, different for every argument."""
    seed = [*split.encode(), label, number]
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def jpeg(split: str, label: int, number: int) -> bytes:
    """The same as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels(split, label, number)).save(file, "JPEG", quality=90)
    return file.getvalue()


def rows(split: str) -> list[tuple[int, int]]:
    """Label and number of every image of a split; classes alternate, as in shuffled data."""
    count = TRAIN if split == "train" else VAL
    return [(label, number) for number in range(count) for label in range(len(CLASSES))]


def arrays(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, SIDE, SIDE, 3) uint8 and labels (N,) int64 of a split."""
    images = np.stack([pixels(split, *row) for row in rows(split)])
    return images, np.array([label for label, _ in rows(split)])


def write_folder(folder: Path) -> Path:
    """train/<class>/* and val/<class>/*."""
    for split in ("train", "val"):
        for label, number in rows(split):
            path = folder / split / CLASSES[label] / f"{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(split, label, number))
    return folder


def write_tiny_imagenet(folder: Path) -> Path:
    """Tiny-ImageNet's archive."""
    write_folder(folder)
    lines = []
    images = folder / "val" / "images"
    images.mkdir()
    for label, number in rows("val"):
        path = folder / "val" / CLASSES[label] / f"{number}.JPEG"
        name = f"val_{len(lines)}.JPEG"
        path.rename(images / name)
        lines.append(f"{name}\t{CLASSES[label]}\t0\t0\t31\t31\n")
    for name in CLASSES:
        (folder / "val" / name).rmdir()
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    return folder


def write_ilsvrc(folder: Path) -> Path:
    """train/<wnid>/* and a flat val/ with Kaggle's table of labels."""
    write_folder(folder)
    lines = ["ImageId,PredictionString\n"]
    for number, (label, image) in enumerate(rows("val"), 1):
        stem = f"ILSVRC2012_val_{number:08d}"
        path = folder / "val" / CLASSES[label] / f"{image}.JPEG"
        path.rename(folder / "val" / f"{stem}.JPEG")
        lines.append(f"{stem},{CLASSES[label]} 1 2 30 31\n")
    for name in CLASSES:
        (folder / "val" / name).rmdir()
    (folder / "LOC_val_solution.csv").write_text("".join(lines))
    return folder


def write_ilsvrc_tars(folder: Path) -> Path:
    """The archive of archives of train images, that of val images, and Kaggle's table."""
    write_ilsvrc(folder / "unpacked")
    root = folder / "tars"
    root.mkdir()
    with tarfile.open(root / "ILSVRC2012_img_train.tar", "w") as archive:
        for name in CLASSES:
            inner = folder / f"{name}.tar"
            with tarfile.open(inner, "w") as images:
                for path in sorted((folder / "unpacked" / "train" / name).iterdir()):
                    images.add(path, path.name, filter=_without_time)
            archive.add(inner, inner.name, filter=_without_time)
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as archive:
        for path in sorted((folder / "unpacked" / "val").iterdir()):
            archive.add(path, path.name, filter=_without_time)
    (folder / "unpacked" / "LOC_val_solution.csv").rename(root / "LOC_val_solution.csv")
    return root


def _without_time(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = 0
    return member


def write_webdataset(folder: Path) -> Path:
    """Two shards to train on and one to test on."""
    folder.mkdir()
    for split, each in (("train", len(rows("train")) // 2), ("val", 100)):
        pattern = f"{folder}/sample-{split}-%04d.tar"
        with ShardWriter(pattern, maxcount=each, verbose=0, mtime=0) as writer:
            for number, (label, image) in enumerate(rows(split)):
                sample = {"__key__": f"{number:06d}", "cls": label}
                writer.write({**sample, "jpg": jpeg(split, label, image)})
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    return folder


def hub_dataset() -> DatasetDict:
    """The sample as the hub has it: splits train and validation, a column of images."""
    features = Features({"image": HubImage(), "label": ClassLabel(names=list(CLASSES))})
    splits = {}
    for name, split in (("train", "train"), ("validation", "val")):
        images = [{"bytes": jpeg(split, *row), "path": None} for row in rows(split)]
        columns = {"image": images, "label": [label for label, _ in rows(split)]}
        splits[name] = HubDataset.from_dict(columns, features=features)
    return DatasetDict(splits)


def write_parquet(folder: Path) -> Path:
    """A folder of parquet files as on the hub, of two files to train on."""
    (folder / "data").mkdir(parents=True)
    for split, table in hub_dataset().items():
        shards = 2 if split == "train" else 1
        for number in range(shards):
            path = folder / "data" / f"{split}-{number:05d}-of-{shards:05d}.parquet"
            table.shard(shards, number, contiguous=True).to_parquet(path, batch_size=4)
    return folder


def write_saved(folder: Path) -> Path:
    """A folder of `save_to_disk`."""
    hub_dataset().save_to_disk(folder)
    return folder


def write_npz(folder: Path) -> Path:
    """Keras's names of arrays, with names of classes."""
    folder.mkdir()
    x_train, y_train = arrays("train")
    x_test, y_test = arrays("val")
    np.savez(
        folder / "data.npz",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=np.array(CLASSES),
    )
    return folder / "data.npz"


def write_cifar(folder: Path) -> Path:
    """CIFAR-10's python version, as its folder: five batches to train on."""
    root = folder / "cifar-10-batches-py"
    root.mkdir(parents=True)
    images, labels = arrays("train")
    for batch in range(5):
        part = slice(batch * len(images) // 5, (batch + 1) * len(images) // 5)
        _dump(root / f"data_batch_{batch + 1}", images[part], labels[part])
    _dump(root / "test_batch", *arrays("val"))
    meta = {"label_names": list(CLASSES), "num_vis": 3072}
    (root / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return folder


def _dump(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    flat = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
    batch = {"data": flat, "labels": labels.tolist(), "batch_label": path.name}
    path.write_bytes(pickle.dumps(batch, protocol=2))


def write_cifar_binary(folder: Path) -> Path:
    """CIFAR-100's binary version, in its archive."""
    folder.mkdir()
    files = {"fine_label_names.txt": "\n".join(CLASSES).encode() + b"\n"}
    for name, split in (("train.bin", "train"), ("test.bin", "val")):
        images, labels = arrays(split)
        flat = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        heads = np.stack([np.zeros_like(labels), labels], 1).astype(np.uint8)
        files[name] = np.concatenate([heads, flat], 1).tobytes()
    path = folder / "cifar-100-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"cifar-100-binary/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def write_token_file(folder: Path) -> Path:
    """The tokens of the folder."""
    images = write_folder(folder / "images")
    untrained(3).save(folder / "own.safetensors")
    out = folder / "t.safetensors"
    encode_command(Encode(images, out, tokenizer=str(folder / "own.safetensors"), workers=1))
    return out


def write_seit_release(folder: Path) -> Path:
    """A release of random tokens."""
    write_release(folder, classes=len(CLASSES), each=TRAIN)
    return folder


@dataclass(frozen=True)
class Sample:
    """A kind of sample.

    Args:
        plugin: the plugin that reads it.
        write: writes it into a new folder and returns the path to open.
        files: True if it holds JPEG files, those of `jpeg`.
        images: False if it holds tokens alone.
    """

    plugin: str
    write: Callable[[Path], Path]
    files: bool = True
    images: bool = True


SAMPLES = {
    "folder": Sample("folder", write_folder),
    "tiny-imagenet": Sample("tiny_imagenet", write_tiny_imagenet),
    "ilsvrc": Sample("ilsvrc", write_ilsvrc),
    "ilsvrc-tars": Sample("ilsvrc", write_ilsvrc_tars),
    "webdataset": Sample("webdataset", write_webdataset),
    "parquet": Sample("huggingface", write_parquet),
    "save-to-disk": Sample("huggingface", write_saved),
    "npz": Sample("npz", write_npz, files=False),
    "cifar-10-python": Sample("cifar", write_cifar, files=False),
    "cifar-100-binary": Sample("cifar", write_cifar_binary, files=False),
    "seit-release": Sample("seit_release", write_seit_release, files=False, images=False),
    "token-file": Sample("token_file", write_token_file, files=False, images=False),
}
