"""Commands that write into a folder, small enough to be done hundreds of times."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helpers.tokenizer_samples import untrained
from seit_cl.config import RunConfig
from seit_cl.core.machine import torch_threads
from seit_cl.data.base import Dataset
from seit_cl.data.folder import open_folder
from seit_cl.data.fractals import write_fractals
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.finished import is_finished
from seit_cl.experiment.modality import build_modality
from seit_cl.experiment.observed_run import run_observed
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.token_cache import cached_tokens
from seit_cl.models._vit import SIZES
from seit_cl.tokenizers import Tokenizer, open_tokenizer
from seit_cl.tokenizers.commands import _parts
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode, Train
from seit_cl.tokenizers.commands.train import train_command
from seit_cl.tokenizers.training import timed

NAMES = ("run", "tokenize encode", "tokenize train", "token cache of a run")
TRAINING: dict[str, Any] = {"width": 8, "depth": 0, "codes": 16, "batch": 4, "crop": 16}


@dataclass(frozen=True)
class Work:
    """A command that writes into a folder.

    Args:
        make: does what is left to do, given the folder.
        result: describes what has been written; equal for equal numbers.
    """

    make: Callable[[Path], object]
    result: Callable[[Path], str]


def small_images(folder: Path) -> Path:
    """Write the images of all works."""
    return write_fractals(folder / "fractals", 4, 4, 2, 32)


@contextmanager
def open_work(name: str, images: Path) -> Iterator[Work]:
    """Prepare one of NAMES.

    Args:
        name: of the command.
        images: as `small_images` writes them.
    """
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        stack.enter_context(torch_threads(1))  # a fork has no others
        if name == "run":
            config = RunConfig(
                data_root=images, experiences=2, epochs=1, memory_mb=0.002, batch=8, device="cpu"
            )
            patch.setitem(SIZES, config.model, (16, 1, 1))  # of one block; files are as usual
            data = RunData(config)
            build_modality("tokens", data).prepare()
            yield Work(partial(_make_run, config, data), _run_result)
        elif name == "token cache of a run":
            dataset = open_folder(images)
            tokenizer = untrained()
            patch.setenv("SEIT_CL_CACHE", "")  # set by each call, and as it was afterwards
            yield Work(
                lambda folder: _cache(dataset, tokenizer, folder),
                lambda folder: _cache(dataset, tokenizer, folder),
            )
        elif name == "tokenize encode":
            patch.setattr(_parts, "PART", 8)
            yield Work(partial(_encode, images), _encoded)
        else:
            patch.setattr(timed, "SAVE_EVERY", 0.0)  # a checkpoint after every step
            yield Work(partial(_train, images), _trained)


def _make_run(config: RunConfig, data: RunData, folder: Path) -> None:
    """Begin or continue a run, as `seit_cl.run` does."""
    run_dir = folder / "run"
    if not is_finished(config, run_dir):
        run_observed(Experiment(config, data, run_dir), "none", lambda info: None)


def _run_result(folder: Path) -> str:
    """Digest of accuracies and memory."""
    return _digest(folder / "run" / "accuracy.csv", folder / "run" / "memory.bin")


def _cache(dataset: Dataset, tokenizer: Tokenizer, folder: Path) -> str:
    """Read or make the tokens of all images, and digest them."""
    os.environ["SEIT_CL_CACHE"] = str(folder)
    digests = hashlib.sha256()
    for tokens in cached_tokens(dataset, tokenizer, 32):
        digests.update(tokens.numpy().tobytes())
    return digests.hexdigest()


def _encode(images: Path, folder: Path) -> None:
    encode_command(Encode(images, folder / "x.safetensors", workers=1))


def _encoded(folder: Path) -> str:
    return _digest(folder / "x.safetensors")


def _train(images: Path, folder: Path) -> None:
    out = folder / "x.safetensors"
    train_command(Train(images, out, steps=2, resolution=32, fractals=0, **TRAINING))


def _trained(folder: Path) -> str:
    return open_tokenizer(str(folder / "x.safetensors")).identity


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
