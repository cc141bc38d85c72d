"""The data of a run: dataset, tokens and pixels of both splits, as the learner and the memory see them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.cache import cache_folder
from seit_cl.core.devices import MAIN_MEMORY, choose_device
from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset, Split
from seit_cl.data.folder import check_images
from seit_cl.data.fractals import open_fractals
from seit_cl.data.holdout import DEFAULT_HOLDOUT
from seit_cl.data.images import load_images, native_resolution
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.token_dataset import TokenDataset, holds_tokens, open_tokens
from seit_cl.experiment.token_cache import cached_tokens, tokenizing_time
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizers._stored import tokenizer_behind


class RunData:
    """Dataset and tokenizer of a run; tokens and pixels are made when first asked for. A SampleSource over the train set.

    Args:
        config: data root, resolution, tokenizer.
        progress: called with what is being made ("tokenizing" or "reading images"), images done, images in all.

    Raises:
        UserError: bad data root, resolution or tokenizer file.
    """

    def __init__(
        self,
        config: RunConfig,
        progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    ) -> None:
        self._progress = progress
        self.dataset = open_dataset(config, lambda done, total: progress("converting", done, total))
        self.tokenizer = tokenizer_of(config, self.dataset)
        self.resolution = config.resolution or native_side(self.dataset)
        if self.resolution < 32 or self.resolution % self.tokenizer.stride:
            raise UserError(
                f"--resolution {self.resolution}: must be a multiple of {self.tokenizer.stride} from 32 px up"
            )
        if not self.dataset.has_images and self.resolution != native_side(self.dataset):
            raise UserError(
                f"--resolution {self.resolution}: {self.dataset.root} holds tokens of {native_side(self.dataset)} px"
            )

    @cached_property
    def _tokens(self) -> tuple[Tensor, Tensor]:
        if isinstance(self.dataset, TokenDataset):
            return self.dataset.tokens()
        done, total = 0, len(self.dataset.train) + len(self.dataset.val)

        def more(images: int) -> None:
            nonlocal done
            done += images
            self._progress("tokenizing", done, total)

        return cached_tokens(self.dataset, self.tokenizer, self.resolution, more)

    def tokenizing(self) -> tuple[float, int] | None:
        """Seconds that tokenizing both splits took, once for all runs, and threads; None where that was not noted."""
        if isinstance(self.dataset, TokenDataset):
            return None
        return tokenizing_time(self.dataset, self.tokenizer, self.resolution)

    @cached_property
    def _train_pixels(self) -> Tensor | None:
        if len(self.dataset.train) * 3 * self.resolution**2 > MAIN_MEMORY:
            return None
        return self._load(self.dataset.train)

    @cached_property
    def _val_pixels(self) -> Tensor:
        return self._load(self.dataset.val)

    def require_images(self, what: str) -> None:
        """Refuse what needs images where there are none; `what` says it, e.g. "--learner pixels".

        Raises:
            UserError: the dataset holds tokens alone.
        """
        if not self.dataset.has_images:
            raise UserError(
                f"{what}: needs images, and {self.dataset.root} holds tokens alone; use --learner tokens and "
                "--format tokens, or give a folder of images"
            )

    def _paths(self, split: Split) -> list[Path]:
        self.require_images("pixels")
        return split.paths

    def _load(self, split: Split) -> Tensor:
        show, paths = self._progress, self._paths(split)
        show("reading images", 0, len(paths))
        return load_images(
            paths, self.resolution, progress=lambda done: show("reading images", done, len(paths))
        )

    @property
    def identity(self) -> dict[str, str]:
        """What tells these images and this tokenizer from others."""
        return {
            "dataset_identity": self.dataset.identity,
            "tokenizer_identity": self.tokenizer.identity,
        }

    def prepare(self, learner: str) -> None:
        """Make what a learner ("tokens" or "pixels") trains and is tested on, so that a bad image shows before training."""
        if learner == "pixels":
            self.require_images("--learner pixels")
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
        paths = self._paths(self.dataset.train)
        return load_images([paths[i] for i in ids.tolist()], self.resolution)

    def files(self, ids: Tensor) -> list[bytes]:
        """The original files of train samples (B,)."""
        paths = self._paths(self.dataset.train)
        return [paths[i].read_bytes() for i in ids.tolist()]

    def shown(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of a few train samples (B,), for people; where there are none, what tokens give back."""
        return (
            self.read(ids) if self.dataset.has_images else self.tokenizer.decode(self.tokens(ids))
        )

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


def open_dataset(
    config: RunConfig, progress: Callable[[int, int], None] = lambda done, total: None
) -> Dataset:
    """The folder, the token file or the SeiT release at data_root, or the built-in fractals: what the scenario selects of it,
    with every image that is in it looked at.

    Args:
        config: says which.
        progress: called with images done and images in all while a release is converted, or the scenario makes images.

    Raises:
        UserError: data that cannot be read or lacks what the scenario needs, or a split asked for where there is one.
    """
    recipe = build_recipe(config.scenario)
    dataset = list_dataset(config, progress)
    if recipe.makes_images:
        dataset = check_images(dataset, config.skip_bad_images)
    dataset = recipe.select(dataset, progress)
    if config.holdout != DEFAULT_HOLDOUT and not dataset.held_out:
        raise UserError(
            f"--val-fraction, --split-seed: {dataset.root} has a val split of its own; leave them out"
        )
    return check_images(dataset, config.skip_bad_images)


def list_dataset(
    config: RunConfig, progress: Callable[[int, int], None] = lambda done, total: None
) -> Dataset:
    """All of the data at data_root, or the built-in fractals; images are listed, and not looked at.

    Args:
        config, progress: as in `open_dataset`.

    Raises:
        UserError: data that cannot be listed.
    """
    if config.data_root is None:
        return open_fractals(cache_folder() / "datasets")
    if holds_tokens(config.data_root):
        return open_tokens(config.data_root, progress)
    return build_recipe(config.scenario).list_dataset(config.data_root, config.holdout)


def native_side(dataset: Dataset) -> int:
    """The image side in pixels that a dataset has of its own."""
    if isinstance(dataset, TokenDataset):
        return dataset.file.grid[1] * dataset.file.metadata.stride
    return native_resolution(dataset)


def tokenizer_of(config: RunConfig, dataset: Dataset) -> Tokenizer:
    """The run's tokenizer, on the learner's device, which tokenizes fastest.

    Raises:
        UserError: a bad spec or file, another tokenizer than made the token file, or CUDA asked for and absent.
    """
    device = choose_device(config.device)
    if isinstance(dataset, TokenDataset):
        return tokenizer_behind(dataset.file, config.tokenizer).to(device)
    return open_tokenizer(config.tokenizer or DEFAULT_TOKENIZER).to(device)
