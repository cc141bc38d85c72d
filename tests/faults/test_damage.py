"""Every kind of file of the project's own: damage is named, or what was read is unharmed."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.damage import CUTS, FLIPS, SMALL_CUTS, SMALL_FLIPS, Subject, try_damage
from torch import Tensor, nn

from helpers.random_entropy import random_model
from helpers.tokenizer_samples import untrained
from seit_cl.data.folder import open_folder
from seit_cl.data.fractals import write_fractals
from seit_cl.data.tar_images import TarArchive
from seit_cl.data.token_file import TokenMetadata, TokenSplit, open_token_file, write_token_file
from seit_cl.experiment import checkpoint
from seit_cl.experiment.token_cache import cached_tokens
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats.entropy.model import load_entropy
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.models._weights import read_weights, save_weights
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.commands._parts import Part, _read_parts
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEIT_CL_CACHE", str(folder / "cache"))
        dataset = open_folder(write_fractals(folder / "fractals", 2, 3, 1, 32))
        tokenizer = untrained()
        cached_tokens(dataset, tokenizer, 32)
    (path,) = (folder / "cache" / "tokens").glob("*.safetensors")

    def read() -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SEIT_CL_CACHE", str(folder / "cache"))
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
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SEIT_CL_CACHE", str(folder / "cache"))
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


KINDS = (
    committed,
    tokenizer_file,
    entropy_tables,
    weights,
    token_file,
    token_cache,
    index_of_archive,
    part_of_encode,
    training_of_a_tokenizer,
)
SUBJECTS: dict[str, Callable[[Path], Subject]] = {make.__name__: make for make in KINDS}


@pytest.mark.parametrize("kind", SUBJECTS)
def test_damage_is_named_or_harmless(kind: str, tmp_path: Path) -> None:
    outcomes = try_damage(SUBJECTS[kind](tmp_path), SMALL_FLIPS, SMALL_CUTS)
    assert outcomes.wrong == 0, outcomes.examples


@pytest.mark.slow
@pytest.mark.parametrize("kind", SUBJECTS)
def test_no_damage_of_a_large_sample_is_silent(kind: str, tmp_path: Path) -> None:
    outcomes = try_damage(SUBJECTS[kind](tmp_path), FLIPS, CUTS, seed=1)
    assert outcomes.wrong == 0, outcomes.examples
