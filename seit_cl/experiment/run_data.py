"""The data of a run: dataset, tokenizer, and the tokens and pixels of both splits.

Shapes: B samples, N images of a split, G x H x W a token grid, S the image side in pixels.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.devices import MAIN_MEMORY, choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.shared_tensors import SharedTensor
from seit_cl.core.token_shapes import token_shape
from seit_cl.data.base import Dataset, Split
from seit_cl.data.contents import Contents, digest_of, digests_of_some
from seit_cl.data.decoding import limit_pixels
from seit_cl.data.holdout import DEFAULT_HOLDOUT
from seit_cl.data.images import default_resolution, load_images, native_resolution
from seit_cl.data.leave_out import leave_out
from seit_cl.data.scenario_recipe import Progress, build_recipe, no_progress
from seit_cl.data.stored import StoredImage
from seit_cl.data.stored_tokens import StoredTokens
from seit_cl.data.token_dataset import TokenDataset, holds_tokens
from seit_cl.datasets import list_data
from seit_cl.datasets._location import BUILT_IN
from seit_cl.experiment.readable import advising_to_skip, check_once, tokenize_readable
from seit_cl.experiment.token_cache import (
    CacheFile,
    cache_file,
    cached_tokens,
    contents_of,
    tokenizing_time,
)
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizers._stored import tokenizer_behind

SMALLEST_SIDE = 32  # pixels


def _no_progress(action: str, done: int, total: int) -> None:
    """Take a report of progress and do nothing."""


class RunData:
    """Dataset and tokenizer of a run; tokens and pixels are loaded on first use.

    It is the SampleSource of the train split: its methods take ids (B,) int64 of train samples.

    Args:
        config: gives data root, scenario, resolution and tokenizer.
        progress: called with an action such as "tokenizing", images done, and images in all.
        shared: load tokens and pixels such that `share` can give them to other processes.
        dataset: the dataset if it is open already; None opens it.

    Raises:
        UserError: bad data root, resolution or tokenizer file.
    """

    def __init__(
        self,
        config: RunConfig,
        progress: Callable[[str, int, int], None] = _no_progress,
        shared: bool = False,
        dataset: Dataset | None = None,
    ) -> None:
        limit_pixels(config.max_pixels)
        self._config = config
        self._progress = progress
        self._shared: dict[str, SharedTensor] | None = {} if shared else None
        self._read: dict[str, NDArray[np.uint64]] = {}  # digests of images whose pixels are loaded
        if dataset is None:
            dataset = open_dataset(config, lambda done, total: progress("converting", done, total))
        self.dataset = dataset
        self.tokenizer = _open_tokenizer(config, self.dataset)
        stride = self.tokenizer.stride
        native_side = _native_side(self.dataset, stride, config.skip_bad_images)
        self.resolution = config.resolution or native_side
        if self.resolution < SMALLEST_SIDE or self.resolution % stride:
            raise UserError(
                f"--resolution {self.resolution}: must be a multiple of {stride} from "
                f"{SMALLEST_SIDE} px up"
            )
        if not self.dataset.has_images and self.resolution != native_side:
            raise UserError(
                f"--resolution {self.resolution}: {self.dataset.root} holds tokens of "
                f"{native_side} px"
            )
        if config.skip_bad_images and self.dataset.has_files:
            self.dataset = self._readable()

    def _readable(self) -> Dataset:
        """The dataset without the images that cannot be decoded."""
        if self._config.learner == "pixels":
            return check_once(self.dataset, True, self.resolution)
        return tokenize_readable(self.dataset, self.tokenizer, self.resolution, self._tokenizing())

    def share(self) -> SharedRunData:
        """Return the data as an argument for processes, with the tokens and pixels loaded so far.

        The data was made with `shared`.
        """
        assert self._shared is not None
        _ = self.identity  # is pickled with the dataset, so that it is computed once
        buffers: list[pickle.PickleBuffer] = []
        config = replace(self._config, skip_bad_images=False)  # they are left out already
        opened = pickle.dumps((config, self.dataset), 5, buffer_callback=buffers.append)
        arrays = [_shared_bytes(buffer.raw()) for buffer in buffers]
        return SharedRunData(
            _shared_bytes(memoryview(opened)), arrays, dict(self._shared), dict(self._read)
        )

    def portable(self) -> PortableRunData:
        """Return the data as a value that can be sent to another machine.

        The machine has the same files at the same paths; the tokens in the cache come with it.
        """
        _ = self.identity  # is pickled with the dataset, so that it is computed once
        config = replace(self._config, skip_bad_images=False)  # they are left out already
        cached = None
        if not isinstance(self.dataset, TokenDataset):
            cached = cache_file(self.dataset, self.tokenizer, self.resolution)
        return PortableRunData(config, self.dataset, cached)

    @property
    def identity(self) -> dict[str, str]:
        """Identities of the images and of the tokenizer, which results of one folder share."""
        return {
            "dataset_identity": self.dataset.identity,
            "tokenizer_identity": self.tokenizer.identity,
        }

    def contents(self, as_tokens: bool) -> str:
        """Digest of the contents of all images, made while they were read.

        It is that of some images, and begins so, where not all are read before a run begins, and ""
        for tokens without images, whose identity is a digest of them.

        Args:
            as_tokens: True for a learner that sees tokens of the images.
        """
        if isinstance(self.dataset, TokenDataset):
            return ""
        if as_tokens:
            _ = self._tokens
            return contents_of(self.dataset, self.tokenizer, self.resolution)
        if {"train pixels", "val pixels"} <= self._read.keys():
            return digest_of(self._read["train pixels"], self._read["val pixels"])
        return self._contents_of_some

    @cached_property
    def _contents_of_some(self) -> str:
        train = digests_of_some(self.dataset.train.images)
        return f"some {digest_of(train, digests_of_some(self.dataset.val.images))}"

    @property
    def grid(self) -> tuple[int, int, int]:
        """Shape (G, H, W) of a token grid; (G, 1, N) of a sequence of tokens."""
        return token_shape(self.tokenizer, self.resolution)

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16 of train samples (B,)."""
        return self._tokens[0][ids]

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of train samples (B,)."""
        return self.read(ids) if self._train_pixels is None else self._train_pixels[ids]

    def read(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of a few train samples (B,), read without caching."""
        return self._read_images(self.dataset.train, ids)

    def _read_images(self, split: Split, ids: Tensor) -> Tensor:
        images = self._images(split)
        return load_images([images[i] for i in ids.tolist()], self.resolution)

    def files(self, ids: Tensor) -> list[bytes]:
        """Bytes of the original files of train samples (B,)."""
        images = self._images(self.dataset.train)
        return [images[i].read() for i in ids.tolist()]

    def shown(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of a few train samples (B,), for people to look at.

        They are decoded from tokens where the dataset has no images.
        """
        if self.dataset.has_images:
            return self.read(ids)
        return self.tokenizer.decode(self.tokens(ids))

    @property
    def test_tokens(self) -> Tensor:
        """Token grids (N, G, H, W) int16 of the val split."""
        return self._tokens[1]

    @property
    def test_pixels(self) -> Tensor:
        """Images (N, 3, S, S) uint8 of the whole val split."""
        if self._val_pixels is not None:
            return self._val_pixels
        return self.tested_pixels(torch.arange(len(self.dataset.val)))

    def tested_pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of val samples (B,)."""
        if self._val_pixels is None:
            return self._read_images(self.dataset.val, ids)
        return self._val_pixels[ids]

    def preload_pixels(self) -> None:
        """Load the train images, where main memory can hold them."""
        _ = self._train_pixels

    def preload_test_pixels(self) -> None:
        """Load the val images, where main memory can hold them."""
        _ = self._val_pixels

    def require_images(self, needed_by: str) -> None:
        """Check that the dataset has images.

        Args:
            needed_by: the option that needs them, which starts the message: "--learner pixels".

        Raises:
            UserError: the dataset holds tokens alone.
        """
        if not self.dataset.has_images:
            raise UserError(
                f"{needed_by}: needs images, and {self.dataset.root} holds tokens alone; use "
                "--learner tokens and --format tokens, or give a folder of images"
            )

    def require_files(self, needed_by: str) -> None:
        """Check that the images are stored as image files.

        Args:
            needed_by: the option that needs them, which starts the message.

        Raises:
            UserError: the dataset has pixels or tokens alone.
        """
        self.require_images(needed_by)
        if not self.dataset.has_files:
            raise UserError(
                f"{needed_by}: stores image files, and {self.dataset.root} has pixels without "
                "files; use --format jpeg, raw or tokens"
            )

    def tokenizing(self) -> tuple[float, int] | None:
        """Seconds that tokenizing both splits took, once for all runs, and the number of threads.

        None if the time was not recorded.
        """
        if isinstance(self.dataset, TokenDataset):
            return None
        return tokenizing_time(self.dataset, self.tokenizer, self.resolution)

    @cached_property
    def _tokens(self) -> tuple[Tensor | StoredTokens, Tensor]:
        """Tokens of the train and of the val split."""
        if isinstance(self.dataset, TokenDataset):
            return self._tokens_of_file(self.dataset)
        with advising_to_skip():
            return cached_tokens(self.dataset, self.tokenizer, self.resolution, self._tokenizing())

    def _tokenizing(self) -> Callable[[int], None]:
        """A function that is called with the number of images tokenized since the last call."""
        done = 0
        total = len(self.dataset.train) + len(self.dataset.val)

        def advance(images: int) -> None:
            nonlocal done
            done += images
            self._progress("tokenizing", done, total)

        return advance

    def _tokens_of_file(self, dataset: TokenDataset) -> tuple[Tensor | StoredTokens, Tensor]:
        """Tokens of both splits of a token file, or of the rows of it that belong to the dataset.

        A whole file is mapped. Some rows of it are a copy, which processes share like pixels.
        """
        if self._shared is None or dataset.rows is None:
            return dataset.tokens()
        names = ("train tokens", "val tokens")
        if names[0] not in self._shared:
            for name, tokens in zip(names, dataset.tokens(), strict=True):
                assert isinstance(tokens, Tensor)  # of a part of the file
                self._shared[name] = SharedTensor.of(tokens)
        train, val = (self._shared[name].tensor for name in names)
        return train, val

    @cached_property
    def _train_pixels(self) -> Tensor | None:
        """Images of the train split; None where they do not fit in main memory."""
        return self._load("train pixels", self.dataset.train)

    @cached_property
    def _val_pixels(self) -> Tensor | None:
        """Images of the val split; None where they do not fit in main memory."""
        return self._load("val pixels", self.dataset.val)

    def _images(self, split: Split) -> Sequence[StoredImage]:
        self.require_images("pixels")
        return split.images

    def _load(self, name: str, split: Split) -> Tensor | None:
        """Images (N, 3, S, S) uint8 of a split, decoded once for all processes that share them.

        None where they do not fit in main memory.
        """
        if self._shared is not None and name in self._shared:
            return self._shared[name].tensor
        stored = self._images(split)
        if len(stored) * 3 * self.resolution**2 > MAIN_MEMORY:
            # They are decoded when they are used, and checked before the first of them is.
            check_once(self.dataset, False, self.resolution)
            return None
        contents = Contents(stored)
        self._read[name] = contents.digests
        if self._shared is None:
            return self._decode(contents.images)
        shape = (len(contents.images), 3, self.resolution, self.resolution)
        images = SharedTensor(shape, torch.uint8)
        self._decode(contents.images, images.tensor)
        self._shared[name] = images
        return images.tensor

    def _decode(self, stored: Sequence[StoredImage], out: Tensor | None = None) -> Tensor:
        def report(done: int) -> None:
            self._progress("reading images", done, len(stored))

        report(0)
        with advising_to_skip():
            return load_images(stored, self.resolution, progress=report, out=out)


@dataclass(frozen=True)
class PortableRunData:
    """Data of runs for processes on other machines.

    Args:
        config: of a run.
        dataset: lists the images, or holds them.
        cached: the tokens of the images, where they have been tokenized.
    """

    config: RunConfig
    dataset: Dataset
    cached: CacheFile | None

    def open(self) -> RunData:
        """Open the data in the process that got it; the tokenizer is loaded again.

        Raises:
            UserError: a file that is not readable on this machine.
        """
        if self.cached is not None:
            self.cached.install()
        return RunData(self.config, dataset=self.dataset)


@dataclass(frozen=True)
class SharedRunData:
    """Data of runs, as an argument of a `multiprocessing.Process` that copies nothing large.

    Args:
        opened: (n,) uint8, the pickled configuration and dataset.
        arrays: (n,) uint8 each, the contents of arrays in the dataset, such as its pixels.
        tensors: tokens and pixels that are not in a file of their own, by name.
        read: digests (N,) uint64 of the images whose pixels are among them, by name.
    """

    opened: SharedTensor
    arrays: list[SharedTensor]
    tensors: dict[str, SharedTensor]
    read: dict[str, NDArray[np.uint64]]

    def open(self) -> RunData:
        """Open the data in the process that got it; the tokenizer is loaded again.

        Raises:
            UserError: a file that was there before is not readable any more.
        """
        arrays = [array.tensor.numpy().data for array in self.arrays]
        config, dataset = pickle.loads(self.opened.tensor.numpy().data, buffers=arrays)
        data = RunData(config, shared=True, dataset=dataset)
        data._shared = self.tensors
        data._read = self.read
        return data


def _shared_bytes(data: memoryview) -> SharedTensor:
    """Copy bytes, at least one, to memory that processes share."""
    return SharedTensor.of(torch.frombuffer(bytearray(data), dtype=torch.uint8))


def open_dataset(config: RunConfig, progress: Progress = no_progress) -> Dataset:
    """Open the data at data_root, or the built-in fractals.

    Its images are checked when they are decoded, before a scenario makes others of them or, in
    `RunData`, for tokens or pixels.

    Args:
        config: gives data root, scenario and held-out split.
        progress: called while a release is converted or the scenario makes images.

    Returns:
        The part of the data that the scenario selects.

    Raises:
        UserError: data that cannot be read or lacks what the scenario needs, or options of a
            held-out split for data that has a val split.
    """
    recipe = build_recipe(config.scenario)
    dataset = list_dataset(config, progress)
    if config.leave_out is not None:
        dataset = leave_out(dataset, config.leave_out)
    if recipe.makes_images:
        dataset = check_once(dataset, config.skip_bad_images)
    dataset = recipe.select(dataset, progress)
    if config.holdout != DEFAULT_HOLDOUT and not dataset.held_out:
        raise UserError(
            f"--val-fraction, --split-seed: {dataset.root} has a val split of its own; "
            "leave them out"
        )
    return dataset


def list_dataset(config: RunConfig, progress: Progress = no_progress) -> Dataset:
    """List all of the data at data_root, or the built-in fractals, without opening an image.

    Args:
        config: gives data root, scenario and held-out split.
        progress: called while a release is converted.

    Raises:
        UserError: data that cannot be listed.
    """
    if config.data_root is None:
        return list_data(BUILT_IN)
    if not holds_tokens(config.data_root):
        recipe = build_recipe(config.scenario)
        in_own_layout = recipe.list_dataset(config.data_root, config.holdout)
        if in_own_layout is not None:
            return in_own_layout
    return list_data(config.data_root, config.holdout, progress)


def _native_side(dataset: Dataset, stride: int, skip_bad: bool) -> int:
    """Image side in pixels of a dataset where none is asked for, for a tokenizer of that stride."""
    if isinstance(dataset, TokenDataset):
        return dataset.file.grid[1] * dataset.file.metadata.stride
    with advising_to_skip():
        return default_resolution(native_resolution(dataset, skip_bad), stride)


def _open_tokenizer(config: RunConfig, dataset: Dataset) -> Tokenizer:
    """Open the run's tokenizer on the learner's device, where it is fastest.

    Raises:
        UserError: a bad spec or file, a tokenizer that did not make the token file, or no CUDA.
    """
    device = choose_device(config.device)
    if isinstance(dataset, TokenDataset):
        return tokenizer_behind(dataset.file, config.tokenizer).to(device)
    return open_tokenizer(config.tokenizer or DEFAULT_TOKENIZER).to(device)
