"""The data of a run: dataset, tokens and pixels of both splits, as the learner and the memory see them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.datasets.base import Dataset
from seit_cl.datasets.folder import open_folder
from seit_cl.datasets.fractals import open_fractals
from seit_cl.datasets.images import load_images, native_resolution
from seit_cl.devices import MAIN_MEMORY, choose_device
from seit_cl.errors import UserError
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizing.cache import cache_folder, cached_tokens


class RunData:
    """Dataset and tokenizer of a run; tokens and pixels are made when first asked for. A SampleSource over the train set.

    Args:
        config: data root, resolution, tokenizer.
        progress: called with what is being made ("tokenizing" or "reading images"), images done, images in all.

    Raises:
        UserError: bad data root, resolution or tokenizer file.
    """

    def __init__(
        self, config: RunConfig, progress: Callable[[str, int, int], None] = lambda what, done, total: None
    ) -> None:
        self._progress = progress
        self.dataset = open_dataset(config)
        self.tokenizer = tokenizer_of(config)
        self.resolution = config.resolution or native_resolution(self.dataset)
        if self.resolution < 32 or self.resolution % self.tokenizer.stride:
            raise UserError(f"--resolution {self.resolution}: must be a multiple of {self.tokenizer.stride} from 32 px up")

    @cached_property
    def _tokens(self) -> tuple[Tensor, Tensor]:
        done, total = 0, len(self.dataset.train) + len(self.dataset.val)

        def more(images: int) -> None:
            nonlocal done
            done += images
            self._progress("tokenizing", done, total)

        return cached_tokens(self.dataset, self.tokenizer, self.resolution, more)

    @cached_property
    def _train_pixels(self) -> Tensor | None:
        if len(self.dataset.train) * 3 * self.resolution**2 > MAIN_MEMORY:
            return None
        return self._load(self.dataset.train.paths)

    @cached_property
    def _val_pixels(self) -> Tensor:
        return self._load(self.dataset.val.paths)

    def _load(self, paths: list[Path]) -> Tensor:
        show = self._progress
        show("reading images", 0, len(paths))
        return load_images(paths, self.resolution, progress=lambda done: show("reading images", done, len(paths)))

    @property
    def identity(self) -> dict[str, str]:
        """What tells these images and this tokenizer from others."""
        return {"dataset_identity": self.dataset.identity, "tokenizer_identity": self.tokenizer.identity}

    def prepare(self, learner: str) -> None:
        """Make what a learner ("tokens" or "pixels") trains and is tested on, so that a bad image shows before training."""
        self.test(learner)
        if learner == "pixels":
            _ = self._train_pixels

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16 of train samples (B,)."""
        return self._tokens[0][ids]

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of train samples (B,)."""
        return self.read(ids) if self._train_pixels is None else self._train_pixels[ids]

    def read(self, ids: Tensor) -> Tensor:
        """The same as `pixels`, read from the files and not kept: for a few."""
        return load_images([self.dataset.train.paths[i] for i in ids.tolist()], self.resolution)

    def files(self, ids: Tensor) -> list[bytes]:
        """The original files of train samples (B,)."""
        return [Path(self.dataset.train.paths[i]).read_bytes() for i in ids.tolist()]

    def raw(self, learner: str, ids: Tensor) -> Tensor:
        """What a learner ("tokens" or "pixels") trains on, of train samples (B,)."""
        return self.tokens(ids) if learner == "tokens" else self.pixels(ids)

    def test(self, learner: str) -> Tensor:
        """What a learner is tested on: the whole val split (N, ...)."""
        return self._tokens[1] if learner == "tokens" else self._val_pixels

    @property
    def grid(self) -> tuple[int, int, int]:
        """(G, H, W) of a token grid."""
        side = self.resolution // self.tokenizer.stride
        return self.tokenizer.codebook.shape[0], side, side


def open_dataset(config: RunConfig) -> Dataset:
    """The folder at data_root, or the built-in fractals."""
    if config.data_root is None:
        return open_fractals(cache_folder() / "datasets")
    return open_folder(config.data_root, config.skip_bad_images)


def tokenizer_of(config: RunConfig) -> Tokenizer:
    """The run's tokenizer, on the learner's device, which tokenizes fastest.

    Raises:
        UserError: a bad spec or file, or CUDA asked for and absent.
    """
    device = choose_device(config.device)
    return open_tokenizer(config.tokenizer or DEFAULT_TOKENIZER).to(device)
