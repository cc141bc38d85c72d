"""Samples offered to the memory: ids and labels, with contents that are loaded on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from seit_cl.core.errors import UserError


class SampleSource(Protocol):
    """Source of the contents of samples, by ids (B,) int64, which are indices of the train set."""

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16, on the CPU."""

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 at the learner's resolution, on the CPU."""

    def files(self, ids: Tensor) -> list[bytes]:
        """Bytes of the original files, one for each sample."""


class ImageEncoder(Protocol):
    """The part of a tokenizer that makes tokens of images (see `seit_cl.tokenizers.base`)."""

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, S, S) uint8 to tokens (B, G, H, W) int16."""


@dataclass(frozen=True)
class Samples:
    """Samples of an experience.

    `of_images`, `of_tokens` and `of_files` make samples of what is in memory already.

    Args:
        ids: (B,) int64, each sample's index in the train set; stable over a run.
        labels: (B,) int64, positions in the scenario's class order.
        source: loads tokens, pixels and files on demand.
    """

    ids: Tensor
    labels: Tensor
    source: SampleSource

    @classmethod
    def of_images(
        cls,
        images: Any,
        labels: Tensor | Sequence[int],
        tokenizer: ImageEncoder | None = None,
    ) -> Samples:
        """Make samples of square images.

        Args:
            images: (B, 3, S, S) or, for grey images, (B, 1, S, S) uint8; a tensor or an array.
            labels: (B,), from 0 to the number of classes - 1.
            tokenizer: for a memory of tokens, which stores the images' tokens.

        Raises:
            UserError: images of another shape or type, or another number of labels.
        """
        pixels = square_uint8(torch.as_tensor(images))
        source = _HeldSamples(pixels=pixels, tokenizer=tokenizer)
        return cls._held(len(pixels), labels, source)

    @classmethod
    def of_tokens(cls, tokens: Any, labels: Tensor | Sequence[int]) -> Samples:
        """Make samples of token grids, as a tokenizer encodes them.

        Args:
            tokens: (B, G, H, W), integers; a tensor or an array.
            labels: (B,), from 0 to the number of classes - 1.

        Raises:
            UserError: tokens of another shape or type, or another number of labels.
        """
        grids = torch.as_tensor(tokens)
        if grids.ndim != 4 or grids.is_floating_point():
            raise UserError(
                f"tokens of shape {tuple(grids.shape)} and type {grids.dtype}; give integer grids "
                "(B, G, H, W), as tokenizer.encode returns them"
            )
        return cls._held(len(grids), labels, _HeldSamples(grids=grids.cpu().to(torch.int16)))

    @classmethod
    def of_files(cls, files: Sequence[bytes], labels: Tensor | Sequence[int]) -> Samples:
        """Make samples of image files, for the format jpeg:original.

        Args:
            files: (B,), the bytes of each file.
            labels: (B,), from 0 to the number of classes - 1.

        Raises:
            UserError: another number of labels.
        """
        return cls._held(len(files), labels, _HeldSamples(contents=list(files)))

    @classmethod
    def _held(cls, count: int, labels: Tensor | Sequence[int], source: SampleSource) -> Samples:
        """Make samples of a source whose ids are positions 0..count-1.

        Raises:
            UserError: labels that are not integers (count,).
        """
        values = torch.as_tensor(labels).cpu()
        if values.shape != (count,) or values.is_floating_point():
            raise UserError(
                f"{count} samples with labels of shape {tuple(values.shape)} and type "
                f"{values.dtype}; give one integer for each"
            )
        return cls(torch.arange(count), values.to(torch.int64), source)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: slice | Tensor) -> Samples:
        return Samples(self.ids[index], self.labels[index], self.source)

    def tokens(self) -> Tensor:
        """Token grids (B, G, H, W) int16."""
        return self.source.tokens(self.ids)

    def pixels(self) -> Tensor:
        """Images (B, 3, S, S) uint8."""
        return self.source.pixels(self.ids)

    def files(self) -> list[bytes]:
        """Bytes of the original files."""
        return self.source.files(self.ids)


def square_uint8(images: Tensor) -> Tensor:
    """Check images (B, 1 or 3, S, S), and give grey ones three equal channels.

    Returns:
        (B, 3, S, S) uint8, on the CPU.

    Raises:
        UserError: another type or shape; the message says how to convert.
    """
    shape = tuple(images.shape)
    if images.dtype != torch.uint8:
        advice = "give uint8 images from 0 to 255, before ToTensor and Normalize"
        if images.is_floating_point():
            advice += "; floats in [0, 1] become so by (images * 255).round().to(torch.uint8)"
        raise UserError(f"images of type {images.dtype}: {advice}")
    if images.ndim == 4 and shape[1] not in (1, 3) and shape[3] in (1, 3):
        raise UserError(
            f"images of shape {shape}: channels come second; use images.permute(0, 3, 1, 2)"
        )
    if images.ndim != 4 or shape[1] not in (1, 3) or shape[2] != shape[3]:
        raise UserError(
            f"images of shape {shape}: give square ones, (B, 3, S, S) or grey (B, 1, S, S); "
            "torchvision.transforms.v2 has CenterCrop and Resize"
        )
    return images.cpu().expand(-1, 3, -1, -1)


class _HeldSamples:
    """A SampleSource of what is in main memory; ids are positions.

    Args:
        pixels: (N, 3, S, S) uint8, or None.
        grids: (N, G, H, W) int16, or None.
        contents: (N,) bytes of files, or None.
        tokenizer: makes tokens of pixels, or None.
    """

    def __init__(
        self,
        pixels: Tensor | None = None,
        grids: Tensor | None = None,
        contents: list[bytes] | None = None,
        tokenizer: ImageEncoder | None = None,
    ) -> None:
        self._pixels = pixels
        self._grids = grids
        self._contents = contents
        self._tokenizer = tokenizer

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16.

        Raises:
            UserError: images without a tokenizer, or files.
        """
        if self._grids is not None:
            return self._grids[ids]
        if self._tokenizer is None:
            raise UserError(
                "a memory of tokens was offered other samples; use Samples.of_images(images, "
                "labels, tokenizer) or Samples.of_tokens(tokens, labels)"
            )
        return self._tokenizer.encode(self.pixels(ids)).cpu()

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8.

        Raises:
            UserError: token grids or files.
        """
        if self._pixels is None:
            raise UserError(
                "a memory of pixels was offered other samples; use Samples.of_images(images, "
                "labels)"
            )
        return self._pixels[ids]

    def files(self, ids: Tensor) -> list[bytes]:
        """Bytes of the files.

        Raises:
            UserError: samples that are no files.
        """
        if self._contents is None:
            raise UserError(
                "a memory of jpeg:original was offered other samples; use Samples.of_files(files, "
                "labels)"
            )
        return [self._contents[index] for index in ids.tolist()]
