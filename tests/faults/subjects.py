"""The kinds of files that the project reads, each with its reader, to be damaged."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from faults.damage import Subject
from PIL import Image
from torch import Tensor, nn

from helpers.memory_samples import memory, samples
from helpers.random_entropy import random_model
from helpers.release_files import NAME as RELEASE
from helpers.release_files import write_release
from helpers.synthetic_runs import write_run
from helpers.tokenizer_samples import untrained
from seit_cl.comparison.ranking import FILE as RANKING
from seit_cl.comparison.ranking import read_ranking
from seit_cl.core.csv_text import sealed_csv
from seit_cl.core.errors import UserError
from seit_cl.data.folder import list_folder, open_folder
from seit_cl.data.fractals import write_fractals
from seit_cl.data.images import load_images
from seit_cl.data.seit.release import read_release
from seit_cl.data.tar_images import TarArchive
from seit_cl.data.token_dataset import open_release
from seit_cl.data.token_file import (
    TokenMetadata,
    TokenSplit,
    open_token_file,
    write_token_file,
)
from seit_cl.experiment import checkpoint
from seit_cl.experiment.finished import stored_options
from seit_cl.experiment.readable import check_once
from seit_cl.experiment.token_cache import cached_tokens
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats.entropy.model import load_entropy
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.models._weights import read_weights, save_weights
from seit_cl.results import manifest, run_writer
from seit_cl.results.anytime import ANYTIME_COLUMNS
from seit_cl.results.run_files import read_run
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.commands._parts import Part, _read_parts, prepare_parts
from seit_cl.tokenizers.training.timed import FIXED, Position, TimedTraining

CPU = torch.device("cpu")
CONTEXT = FormatContext(resolution=32, classes=4, codes=16, grid=(1, 4, 4), tokenizer="test")


def content(tensors: dict[str, Tensor]) -> str:
    """A digest of tensors by name."""
    state = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        state.update(tensor.contiguous().numpy().tobytes())
    return state.hexdigest()


@contextmanager
def in_cache(folder: Path) -> Iterator[None]:
    """Have the caches in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEIT_CL_CACHE", str(folder / "cache"))
        yield


def committed(folder: Path) -> Subject:
    """The checkpoint of an unfinished run."""
    memory = ByteBudgetBuffer(1000, build_format("tokens", CONTEXT), CONTEXT)
    state = {"numbers": torch.arange(300), "rows": [{"class": "cat", "correct": 3}]}
    checkpoint.commit(folder, 0, memory, state)

    def read() -> Any:
        restored = checkpoint.restore(folder, None, CPU)
        assert restored is not None
        found = dict(restored[0])
        return content({"numbers": found.pop("numbers")}), sorted(found.items())

    return Subject(folder / checkpoint.NAME, read)


def tokenizer_file(folder: Path) -> Subject:
    """A tokenizer."""
    path = folder / "tokenizer.safetensors"
    untrained().save(path)

    def read() -> Any:
        tokenizer = open_tokenizer(str(path))
        return tokenizer.identity, tokenizer.card, tokenizer.codec_bytes

    return Subject(path, read)


def entropy_tables(folder: Path) -> Subject:
    """An entropy model."""
    path = folder / "model.entropy.safetensors"
    random_model(16).save(path)

    def read() -> Any:
        model = load_entropy(path)
        return model.tokenizer, content(model._tensors())

    return Subject(path, read)


def weights(folder: Path) -> Subject:
    """Weights of a run with --save-model."""
    path = folder / "model.safetensors"
    save_weights(path, nn.Linear(20, 5), list("abcde"), "tiny")

    def read() -> Any:
        found = read_weights(path)
        return content(dict(found.tensors)), found.classes

    return Subject(path, read)


def token_file(folder: Path) -> Subject:
    """Tokens and labels of a data set."""
    path = folder / "x.safetensors"
    grid = (1, 4, 4)
    codebook = torch.rand(1, 20, 8, generator=torch.Generator().manual_seed(0))
    about = TokenMetadata("things", ["a", "b"], codebook, "sum", 8, "0" * 16, 100)
    splits = {}
    for name, count in (("train", 9), ("val", 6)):
        labels = torch.arange(count) % 2
        tokens = torch.arange(16 * count).view(count, *grid) % 20
        splits[name] = TokenSplit(labels, [tokens.to(torch.int16)])
    write_token_file(path, about, grid, splits)

    def read() -> Any:
        file = open_token_file(path)
        tensors = {name: tokens.whole() for name, tokens in file.tokens.items()}
        labels = {f"{name}.labels": labels for name, labels in file.labels.items()}
        described = file.metadata.header_entries()
        return file.identity, described, content({**tensors, **labels, **file.metadata.tensors()})

    return Subject(path, read)


def token_cache(folder: Path) -> Subject:
    """Tokens of a folder of images, which are made again."""
    with in_cache(folder):
        dataset = open_folder(write_fractals(folder / "fractals", 2, 3, 1, 32))
        tokenizer = untrained()
        cached_tokens(dataset, tokenizer, 32)
    (path,) = (folder / "cache" / "tokens").glob("*.safetensors")

    def read() -> Any:
        with in_cache(folder):
            train, val = cached_tokens(dataset, tokenizer, 32)
        return content({"train": train, "val": val})

    return Subject(path, read, heals=True)


def index_of_archive(folder: Path) -> Subject:
    """The places of the files in a tar archive, which are listed again."""
    archive = folder / "x.tar"
    with tarfile.open(archive, "w") as file:
        for name in ("a.jpg", "b.jpg"):
            file.addfile(tarfile.TarInfo(name))

    def read() -> Any:
        with in_cache(folder):
            return TarArchive.of(archive).members()

    read()
    (path,) = (folder / "cache" / "indices").glob("*.npz")
    return Subject(path, read, heals=True)


def part_of_encode(folder: Path) -> Subject:
    """Tokens of some images, written by an interrupted `tokenize encode`."""
    root = write_fractals(folder / "fractals", 2, 3, 1, 32)
    part = Part(open_folder(root).train.images, folder / "train-000000000.npy", 32)
    part.write(untrained())

    def read() -> Any:
        return [tokens.tolist() for tokens in _read_parts([part])]

    return Subject(part.file, read)


class Counting(TimedTraining):
    """A training that counts."""

    def __init__(self) -> None:
        super().__init__(minutes=1, steps=2, batch=1, learning_rate=1.0)
        weight = torch.zeros(300, requires_grad=True)
        self.optimizer = torch.optim.SGD([weight])
        self.restored: dict[str, Any] = {}

    def train_step(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def progress(self, position: Position, *values: Tensor) -> Any:
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        fixed = {name: "the same" for name in FIXED}
        return {**fixed, "numbers": torch.arange(300), "step": 1, "seconds": 0.5}

    def restore(self, state: dict[str, Any]) -> None:
        self.restored = state


def training_of_a_tokenizer(folder: Path) -> Subject:
    """The checkpoint of `tokenize train`."""
    path = folder / "tokenizer.checkpoint"
    Counting().save(path)

    def read() -> Any:
        training = Counting()
        training.load(path)
        numbers = training.restored.pop("numbers")
        return training.restored, training.step, content({"numbers": numbers})

    return Subject(path, read)


# ---------------------------------------------------------------- runs and their memories
def memory_file(folder: Path) -> Subject:
    """memory.bin."""
    path = folder / "memory.bin"
    buffer = memory(2000, "tokens")
    buffer.offer(samples(0, [0, 1, 2] * 8))
    buffer.save(path)

    def read() -> Any:
        again = folder / "again.bin"
        ByteBudgetBuffer.load(path).save(again)
        return hashlib.sha256(again.read_bytes()).hexdigest()

    return Subject(path, read)


def of_finished_run(name: str, folder: Path) -> Subject:
    """A file of a finished run, as reports and the next start of it read it."""
    run_dir = write_run(folder, memory=2_000, experiences=3)
    metadata = read_run(run_dir).metadata
    run_writer.reopen_run(run_dir)
    columns = list(ANYTIME_COLUMNS)
    rows = [[step, 0, 0, "a", step, 40] for step in range(5)]
    run_writer.write_anytime(run_dir, pd.DataFrame(rows, columns=columns))
    pixels = np.arange(768, dtype=np.uint8).reshape(1, 3, 16, 16)
    run_writer.write_exemplars(run_dir, pixels, pixels)
    (run_dir / "memory.bin").write_bytes(bytes(2000))
    run_writer.finish_run(run_dir, metadata)

    def read() -> Any:
        run = read_run(run_dir)
        if run.problem:
            raise UserError(f"{run_dir}: {run.problem}")
        tables = []
        for table in (run.accuracy, run.memory, run.anytime, run.confusion, run.losses):
            assert table is not None
            tables.append(table.to_csv())
        return run.status, run.config, run.environment, run.metadata, tables

    return Subject(run_dir / name, read)


def of_unfinished_run(name: str, folder: Path) -> Subject:
    """A file of a run that a checkpoint goes on from."""
    run_dir = folder / "run"
    run_writer.start_run(run_dir, {"strategy": "er", "seed": 3}, {"torch": "2.9.0"})
    buffer = ByteBudgetBuffer(1000, build_format("tokens", CONTEXT), CONTEXT)
    files = run_writer.digests_of_start(run_dir)
    checkpoint.commit(run_dir, 0, buffer, {"files": files})

    def read() -> Any:
        options = stored_options(run_dir)
        restored = checkpoint.restore(run_dir, None, CPU)
        assert restored is not None
        run_writer.check_unchanged(run_dir, restored[0]["files"])
        return options, sorted(restored[0].items())

    return Subject(run_dir / name, read)


def ranking(folder: Path) -> Subject:
    """ranking.csv of a comparison."""
    rows = [(0.1, f"jpeg_scan:quality={q}", 1 / q, 9.7 * q, 1000 // q) for q in (10, 50, 90)]
    names = ["memory_mb", "format", "error", "record_bytes", "exemplars"]
    (folder / RANKING).write_text(sealed_csv(pd.DataFrame(rows, columns=names)))
    return Subject(folder / RANKING, lambda: read_ranking(folder).to_csv())


# ---------------------------------------------------------------- caches and intermediate files
def converted_release(folder: Path) -> Subject:
    """The converted tokens of a SeiT release: made again, or named where tokens are first used."""
    write_release(folder / "release")
    with in_cache(folder):
        open_release(folder / "release")
    (path,) = (folder / "cache" / "releases").glob("*.safetensors")

    def read() -> Any:
        with in_cache(folder):
            dataset = open_release(folder / "release")
        tokens = {name: stored.whole() for name, stored in dataset.file.tokens.items()}
        return content({**tokens, **dataset.file.labels})

    return Subject(path, read, heals=True)


def readable_images(folder: Path) -> Subject:
    """The list of images that cannot be decoded."""
    root = write_fractals(folder / "fractals", 2, 2, 1, 32)
    next(root.glob("train/*/*.png")).write_bytes(b"no image")

    def read() -> Any:
        with in_cache(folder):
            return len(check_once(list_folder(root), skip_bad_images=True).train)

    read()
    (path,) = (folder / "cache" / "readable").glob("*.json")
    return Subject(path, read, heals=True)


def description_of_parts(folder: Path) -> Subject:
    """parts.json of an interrupted `tokenize encode`, whose folder is named."""
    dataset = open_folder(write_fractals(folder / "fractals", 2, 2, 1, 32))
    tokenizer = untrained()
    parts = folder / "x.parts"

    def read() -> Any:
        return len(prepare_parts(parts, dataset, tokenizer, 32))

    read()
    return Subject(parts / "parts.json", read, named=parts.name)


# ---------------------------------------------------------------- files of other projects
def of_release(name: str, has_checksum: bool, folder: Path) -> Subject:
    """A file of a SeiT release."""
    write_release(folder / "release")

    def read() -> Any:
        release = read_release(folder / "release")
        found = {"codebook": release.metadata.codebook}
        for split, data in release.splits.items():
            found[f"{split}.labels"] = data.labels
            found[f"{split}.tokens"] = torch.cat(list(data.tokens))
        found.update(release.metadata.tensors())
        return content(found), release.metadata.header_entries()

    path = folder / "release" / name
    return Subject(path, read, has_checksum=has_checksum, named=str(folder / "release"))


def image(kind: str, has_checksum: bool, folder: Path) -> Subject:
    """An image of a folder."""
    path = folder / f"x.{kind}"
    colours = np.mgrid[:64, :64].sum(0) * 2
    Image.fromarray(np.stack([colours] * 3, -1).astype(np.uint8)).save(path)
    read = lambda: content({"pixels": torch.as_tensor(load_images([path], 64, threads=1))})  # noqa: E731
    return Subject(path, read, has_checksum=has_checksum)


Maker = Callable[[Path], Subject]
OWN: dict[str, Maker] = {
    "memory.bin": memory_file,
    "checkpoint.pt": committed,
    "config.yaml, unfinished run": partial(of_unfinished_run, "config.yaml"),
    "environment.json, unfinished run": partial(of_unfinished_run, "environment.json"),
    "memory-0.bin, unfinished run": partial(of_unfinished_run, "memory-0.bin"),
    **{name: partial(of_finished_run, name) for name in manifest.RESULTS},
    "manifest.json": partial(of_finished_run, "manifest.json"),
    "model.safetensors": weights,
    "ranking.csv": ranking,
    "tokenizer": tokenizer_file,
    "entropy model": entropy_tables,
    "token file": token_file,
    "checkpoint of `tokenize train`": training_of_a_tokenizer,
    "part of `tokenize encode`": part_of_encode,
    "parts.json of `tokenize encode`": description_of_parts,
    "cache: tokens": token_cache,
    "cache: converted release": converted_release,
    "cache: index of a tar archive": index_of_archive,
    "cache: images that cannot be decoded": readable_images,
}
FOREIGN: dict[str, Maker] = {
    "SeiT: tokens (gzip)": partial(of_release, f"{RELEASE}-train-token.data.bin.gz", True),
    "SeiT: index (gzip)": partial(of_release, f"{RELEASE}-train-token.index.npy.gz", True),
    "SeiT: labels": partial(of_release, f"{RELEASE}-train-label.txt", False),
    "SeiT: codebook (zip)": partial(of_release, "codebook.ckpt", True),
    "SeiT: synonyms": partial(of_release, "synonyms.json", False),
    "image: PNG": partial(image, "png", True),
    "image: JPEG": partial(image, "jpg", False),
}
SUBJECTS = OWN | FOREIGN
