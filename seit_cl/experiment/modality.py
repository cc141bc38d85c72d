"""The learner's modalities: a token learner sees token grids, a pixel learner sees images.

A modality answers every question on which the two differ: what the learner trains on and is tested
on, the data that its model is built for, its augmentation, and the formats that it can replay. B is
a batch, N the val split, G x H x W a token grid, S the image side in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.core.specs import Spec
from seit_cl.core.token_shapes import is_sequence
from seit_cl.data.patches import PatchChoice
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import ExemplarFormat, build_format
from seit_cl.formats.base import FormatContext, PartialFormat
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.augment.token_adapt import TokenAdapter
from seit_cl.learner.augment.token_adapt_file import read_adapter
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.models import ModelContext


class Modality(Protocol):
    """Everything that depends on whether the learner sees tokens or pixels.

    Attributes:
        uses_tokenizer: whether the tokenizer has a part in such a run.
        crop_option: name of the option that sets the smallest area of the random crop.
        replays: domains of the formats that the learner can replay.
    """

    uses_tokenizer: ClassVar[bool]
    crop_option: ClassVar[str]
    replays: ClassVar[tuple[str, ...]]

    @property
    def model_context(self) -> ModelContext:
        """The data that the model is built for."""

    def prepare(self) -> None:
        """Load all inputs, so that bad data shows before training.

        Raises:
            UserError: the data has no such inputs.
        """

    def train_inputs(self, ids: Tensor) -> Tensor:
        """Raw inputs (B, ...) of train samples (B,)."""

    def test_inputs(self) -> Tensor:
        """Raw inputs (N, ...) of the whole val split."""

    def tested_inputs(self, ids: Tensor) -> Tensor:
        """Raw inputs (B, ...) of val samples (B,)."""

    def augment(self, options: RunConfig, crop: int) -> TokenAugment | PixelAugment:
        """Build the augmentation, from raw inputs to the model's, whose side is `crop`."""

    def check_format(self, fmt: ExemplarFormat) -> None:
        """Refuse a format that the learner cannot replay.

        Raises:
            UserError: naming the format.
        """

    def transform_of(self, fmt: ExemplarFormat) -> Callable[[Tensor], Tensor] | None:
        """The function from decoded exemplars to raw inputs; None where they are the same."""


class TokenModality:
    """Token grids (B, G, H, W) int16. Exemplars stored as pixels are tokenized again.

    Args:
        data: the run's.
    """

    uses_tokenizer: ClassVar[bool] = True
    crop_option: ClassVar[str] = "token_rrc"
    replays: ClassVar[tuple[str, ...]] = ("tokens", "pixels")

    def __init__(self, data: RunData) -> None:
        self.data = data
        self.tokenizer = data.tokenizer

    @property
    def model_context(self) -> ModelContext:
        """Vectors of the codebook, on the tokenizer's grid or as a sequence."""
        groups, _, dim = self.tokenizer.codebook.shape
        channels = dim * groups if self.tokenizer.combine == "concat" else dim
        width = self.data.grid[2]
        return ModelContext("tokens", channels, width, is_sequence(self.tokenizer))

    def prepare(self) -> None:
        """Read or make the tokens.

        Raises:
            UserError: an image that cannot be read.
        """
        self.test_inputs()

    def train_inputs(self, ids: Tensor) -> Tensor:
        """Tokens (B, G, H, W) int16 of train samples (B,)."""
        return self.data.tokens(ids)

    def test_inputs(self) -> Tensor:
        """Tokens (N, G, H, W) int16 of the whole val split."""
        return self.data.test_tokens

    def tested_inputs(self, ids: Tensor) -> Tensor:
        """Tokens (B, G, H, W) int16 of val samples (B,)."""
        return self.data.test_tokens[ids]

    def augment(self, options: RunConfig, crop: int) -> TokenAugment:
        """Build the augmentation of tokens.

        Raises:
            UserError: --token-adapt or --patch-drop-p that does not fit tokenizer or format.
        """
        tokenizer = self.tokenizer
        return TokenAugment(
            tokenizer.codebook,
            tokenizer.combine,
            options,
            crop,
            tokenizer.mirror,
            sequence=is_sequence(tokenizer),
            adapter=None if options.token_adapt is None else self._adapter(options.token_adapt),
            patches=self._patches(options),
        )

    def _patches(self, options: RunConfig) -> PatchChoice | None:
        """The positions that exemplars keep; None where they keep all.

        Raises:
            UserError: --patch-drop-p for exemplars that keep all.
        """
        patches = None
        if "keep" in Spec.parse(options.format).options:
            codes = self.tokenizer.codebook.shape[1]
            context = FormatContext(self.data.resolution, 1, codes, self.data.grid)
            fmt = build_format(options.format, context)
            patches = fmt.patches if isinstance(fmt, PartialFormat) else None
        if options.patch_drop_p and patches is None:
            raise UserError(
                f"--patch-drop-p {options.patch_drop_p:g}: the exemplars of --format "
                f"{options.format} keep all positions; give --format tokens:keep=0.5"
            )
        return patches

    def _adapter(self, path: Path) -> TokenAdapter:
        """Read the map of --token-adapt.

        Raises:
            UserError: it is not one of the tokenizer's, or tokens have no places in the image.
        """
        if is_sequence(self.tokenizer):
            raise UserError(
                f"--token-adapt {path}: tokens of this tokenizer have no places in the image that "
                "could be rotated; leave it out"
            )
        groups, codes, _ = self.tokenizer.codebook.shape
        channels = self.model_context.channels
        return read_adapter(path, self.tokenizer.identity, channels, groups, codes)

    def check_format(self, fmt: ExemplarFormat) -> None:
        """Every format can be replayed."""

    def transform_of(self, fmt: ExemplarFormat) -> Callable[[Tensor], Tensor] | None:
        """The tokenizer, for exemplars that are images."""
        return self.tokenizer.encode if fmt.domain == "pixels" else None


class PixelModality:
    """Images (B, 3, S, S) uint8.

    Args:
        data: the run's.
    """

    uses_tokenizer: ClassVar[bool] = False
    crop_option: ClassVar[str] = "pixel_rrc"
    replays: ClassVar[tuple[str, ...]] = ("pixels",)

    def __init__(self, data: RunData) -> None:
        self.data = data

    @property
    def model_context(self) -> ModelContext:
        """Images of three channels."""
        return ModelContext("pixels", 3, self.data.resolution)

    def prepare(self) -> None:
        """Decode the images of both splits, as far as they fit in main memory.

        Raises:
            UserError: data without images, or an image that cannot be read.
        """
        self.data.require_images("--learner pixels")
        self.data.preload_test_pixels()
        self.data.preload_pixels()

    def train_inputs(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of train samples (B,)."""
        return self.data.pixels(ids)

    def test_inputs(self) -> Tensor:
        """Images (N, 3, S, S) uint8 of the whole val split."""
        return self.data.test_pixels

    def tested_inputs(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of val samples (B,)."""
        return self.data.tested_pixels(ids)

    def augment(self, options: RunConfig, crop: int) -> PixelAugment:
        """Build the augmentation of images."""
        return PixelAugment(crop, options)

    def check_format(self, fmt: ExemplarFormat) -> None:
        """Refuse a format of tokens.

        Raises:
            UserError: naming the format.
        """
        if fmt.domain not in self.replays:
            raise UserError(
                f"--learner pixels cannot learn from {fmt.spec!r} exemplars; use jpeg or raw, or "
                "--learner tokens"
            )

    def transform_of(self, fmt: ExemplarFormat) -> Callable[[Tensor], Tensor] | None:
        """None: decoded exemplars are images."""
        return None


MODALITIES: Mapping[str, type[TokenModality] | type[PixelModality]] = {
    "tokens": TokenModality,
    "pixels": PixelModality,
}


def build_modality(learner: str, data: RunData) -> Modality:
    """Build the modality of a learner, "tokens" or "pixels", over a run's data."""
    return MODALITIES[learner](data)
