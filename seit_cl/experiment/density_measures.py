"""Bytes, fidelity and speed of exemplars in each format, summed over blocks of images.

Formats of tokens are measured on blocks of token grids. Then the images are read once, block by
block, for the formats of images and for the fidelity of all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from rich.console import Console
from torch import Tensor

from seit_cl.core.blocks import FILES_AT_ONCE, images_at_once, slices
from seit_cl.core.progress import images_bar, track
from seit_cl.data.patches import decode_partial
from seit_cl.data.samples import Samples
from seit_cl.experiment.density import Material
from seit_cl.formats import ExemplarFormat
from seit_cl.formats._baselines import BASELINES, ORIGINAL_FILES
from seit_cl.formats._records import Records
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.memory.byte_accounting import ByteAccounting
from seit_cl.tokenizers import Tokenizer
from seit_cl.tokenizers._quality import decibels, squared_error

MIN_SECONDS = 0.5  # that every speed is measured for
MOST_IMAGES = 64  # of a block
MOST_TOKENIZED = 16  # images, by which the speed of a tokenizer is measured
MOST_GRIDS = 512  # of a block
SIMILARITY_PIXELS = 2**18  # compared at a time, for which some 300 bytes a pixel are needed
REACH = 5  # pixels on each side of one that its structural similarity depends on
_LARGE_BUDGET = 1 << 40  # bytes; more than any memory measured here


class HeldBlock:
    """SampleSource of a block of images in memory, whose samples have the ids 0..B-1.

    Args:
        samples: the same, from their own source.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._pixels = samples.pixels()
        self._tokens = samples.tokens()

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16."""
        return self._tokens[ids]

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8."""
        return self._pixels[ids]

    def files(self, ids: Tensor) -> list[bytes]:
        """Contents of the files."""
        return self._samples[ids].files()


def held(samples: Samples) -> Samples:
    """Read the pixels of samples (B,) into memory."""
    return Samples(torch.arange(len(samples)), samples.labels, HeldBlock(samples))


@dataclass
class Speed:
    """Mean speed of a call, over all blocks.

    Args:
        images: processed so far.
        seconds: that they took.
    """

    images: int = 0
    seconds: float = 0.0

    def add(self, call: Callable[[], object], images: int, least: float) -> None:
        """Measure a call that processes so many images, for at least some seconds."""
        started = time.perf_counter()
        seconds = 0.0
        while seconds == 0 or seconds < least:
            call()
            self.images += images
            seconds = time.perf_counter() - started
        self.seconds += seconds

    @property
    def per_second(self) -> float:
        """Images per second."""
        return self.images / self.seconds


@dataclass
class Fidelity:
    """Differences of decoded images from the original ones, over all blocks."""

    _error: int = 0
    _values: int = 0
    _similarity: float = 0.0
    _images: int = 0

    def add(self, originals: Tensor, decoded: Tensor) -> None:
        """Compare images (B, 3, S, S) uint8."""
        self._error += squared_error(originals, decoded)
        self._values += originals.numel()
        self._similarity += float(structural_similarity(decoded, originals).sum())
        self._images += len(originals)

    @property
    def psnr(self) -> float:
        """PSNR in dB; nan where nothing was compared, infinite where all images are equal."""
        return decibels(self._error, self._values) if self._values else math.nan

    @property
    def ssim(self) -> float:
        """Mean structural similarity; nan where nothing was compared."""
        return self._similarity / self._images if self._images else math.nan


def structural_similarity(images: Tensor, originals: Tensor) -> Tensor:
    """Structural similarity (B,) of images to others (Wang et al., 2004), a part at a time.

    Args:
        images, originals: (B, 3, S, S) uint8.
    """
    side = images.shape[-1]
    together = max(1, SIMILARITY_PIXELS // side**2)
    rows = max(1, SIMILARITY_PIXELS // side)  # of an image that is larger
    totals = torch.zeros(len(images), dtype=torch.float64)
    for part in slices(len(images), together):
        for strip in slices(side, rows):
            values = _similarities(images[part], originals[part], strip)
            totals[part] += values.double().sum((1, 2, 3))
    return totals / images[0].numel()


def _similarities(images: Tensor, originals: Tensor, strip: slice) -> Tensor:
    """Structural similarities (B, 3, h, S) at the pixels in a strip of rows."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    top = max(0, strip.start - REACH)
    seen = slice(top, strip.stop + REACH)
    result = structural_similarity_index_measure(
        images[:, :, seen].float(),
        originals[:, :, seen].float(),
        data_range=255.0,
        reduction="none",
        return_full_image=True,
    )
    return result[1][:, :, strip.start - top : strip.stop - top]


class FormatMeasures:
    """Bytes, speeds and fidelity of a format, over all blocks.

    Args:
        fmt: the format.
        material: what it is measured on.
    """

    def __init__(self, fmt: ExemplarFormat, material: Material) -> None:
        self.fmt = fmt
        self.material = material
        self.fidelity = Fidelity()
        self.decoded_tokens: Tensor | None = None  # of all samples, where they are not their own
        empty_memory = ByteBudgetBuffer(_LARGE_BUDGET, fmt, material.context).used_bytes
        self._header = empty_memory - len(fmt.side_info)
        self._accounting = ByteAccounting(fmt, material.classes, {}, self._header)
        self._exemplar_bytes = 0
        self._record_bytes = 0
        self._encoding = Speed()
        self._decoding = Speed()
        self._tokens = 0
        self._tokens_kept = 0

    def add(self, samples: Samples) -> Tensor:
        """Measure samples (B,) in memory; return what their records decode to."""
        records = self.fmt.encode(samples)
        lengths = records.lengths.tolist()
        self._exemplar_bytes += sum(self._accounting.exemplar_bytes(length) for length in lengths)
        self._record_bytes += sum(lengths)
        count = len(samples)
        least = MIN_SECONDS * count / len(self.material.source)
        self._encoding.add(lambda: self.fmt.encode(samples), count, least)
        return self._decode(records, count, least)

    def _decode(self, records: Records, count: int, least: float) -> Tensor:
        decoded = self.fmt.decode(records)
        self._decoding.add(lambda: self.fmt.decode(records), count, least)
        return decoded

    def add_tokens(self, tokens: Tensor, decoded: Tensor) -> None:
        """Count the tokens (B, G, H, W) that a token learner sees unchanged."""
        self._tokens += tokens.numel()
        self._tokens_kept += int((tokens == decoded).sum())

    def row(self) -> dict[str, object]:
        """Return the row of the table.

        Returns:
            format: canonical spec.
            bytes_each: mean bytes of an exemplar in a memory file; payload, label and length: those
                of its record, label and length.
            header, tables: bytes that a memory file takes once.
            codec_bytes: bytes of tokenizer and codec.
            encode_per_second, decode_per_second: images per second.
            psnr: in dB; nan where no images are decoded, infinite where all are equal.
            ssim: structural similarity (Wang et al., 2004); nan where no images are decoded.
            tokens_kept: fraction of tokens that a token learner sees unchanged.
        """
        count = len(self.material.source)
        bytes_each = self._exemplar_bytes / count
        payload = self._record_bytes / count
        label = self._accounting.label_bytes
        fmt = self.fmt
        tokenizer_bytes = self.material.tokenizer.codec_bytes if fmt.domain == "tokens" else 0
        return {
            "format": fmt.spec,
            "bytes_each": bytes_each,
            "payload": payload,
            "label": label,
            "length": bytes_each - payload - label - self._accounting.field_bytes,
            "header": self._header,
            "tables": len(fmt.side_info),
            "codec_bytes": tokenizer_bytes + fmt.codec_bytes,
            "encode_per_second": self._encoding.per_second,
            "decode_per_second": self._decoding.per_second,
            "psnr": self.fidelity.psnr,
            "ssim": self.fidelity.ssim,
            "tokens_kept": self._tokens_kept / self._tokens,
        }


def measure(formats: list[ExemplarFormat], material: Material, console: Console) -> pd.DataFrame:
    """Measure formats and baselines.

    Returns:
        A row per format, as `FormatMeasures.row` makes it, with "tokenize_per_second" of formats of
        tokens (images per second, nan where there are no images), then one per baseline with
        "format" and "bytes_each" alone.
    """
    rows = [each.row() for each in measure_formats(formats, material, console)]
    speed = _tokenizing_speed(formats, material)
    for row, fmt in zip(rows, formats, strict=True):
        row["tokenize_per_second"] = speed if fmt.domain == "tokens" else math.nan
    for name, baseline in BASELINES.items():
        if name != ORIGINAL_FILES or material.source.has_files:
            size = baseline(material.samples, material.context.codes)
            rows.append({"format": name, "bytes_each": size})
    return pd.DataFrame(rows)


def _tokenizing_speed(formats: Sequence[ExemplarFormat], material: Material) -> float:
    """Images per second that the tokenizer encodes; nan without images or formats of tokens."""
    if not material.has_images or all(fmt.domain != "tokens" for fmt in formats):
        return math.nan
    first = next(iter(_blocks(material, MOST_TOKENIZED)))
    pixels = material.samples[first].pixels()
    speed = Speed()
    speed.add(lambda: material.tokenizer.encode(pixels), len(pixels), MIN_SECONDS)
    return speed.per_second


def measure_formats(
    formats: Sequence[ExemplarFormat], material: Material, console: Console
) -> list[FormatMeasures]:
    """Measure formats, in their order."""
    measures = [FormatMeasures(fmt, material) for fmt in formats]
    of_tokens = [each for each in measures if each.fmt.domain == "tokens"]
    of_images = [each for each in measures if each.fmt.domain == "pixels"]
    for each in track(of_tokens, "measuring formats of tokens", console):
        _measure_tokens(each)
    if not of_images and not material.has_images:
        return measures
    with images_bar("measuring", len(material.source), console) as advance:
        for part in _blocks(material, MOST_IMAGES):
            block = held(material.samples[part])
            for each in of_images:
                _measure_images(each, block)
            if of_tokens and material.tokenizer.decodes:
                _compare_images(of_tokens, material.tokenizer, block, part)
            advance(len(block))
    return measures


def _blocks(material: Material, most: int) -> Iterator[slice]:
    """Blocks of the samples, of at most so many."""
    return slices(len(material.source), images_at_once(material.side, most))


def _measure_tokens(measures: FormatMeasures) -> None:
    """Measure a format of tokens, but for its fidelity to images."""
    samples = measures.material.samples
    parts = []
    is_exact = True
    for part in _blocks(measures.material, MOST_GRIDS):
        block = samples[part]
        decoded = measures.add(block)
        measures.add_tokens(block.tokens(), decoded)
        is_exact = is_exact and torch.equal(block.tokens(), decoded)
        parts.append(decoded)
    if not is_exact:
        measures.decoded_tokens = torch.cat(parts)


def _measure_images(measures: FormatMeasures, block: Samples) -> None:
    """Measure a format of images on a block in memory."""
    tokenizer = measures.material.tokenizer
    together = FILES_AT_ONCE if getattr(measures.fmt, "stores_files", False) else len(block)
    for part in slices(len(block), together):
        samples = block[part]
        decoded = measures.add(samples)
        measures.add_tokens(samples.tokens(), tokenizer.encode(decoded))
        measures.fidelity.add(samples.pixels(), decoded)


def _compare_images(
    of_tokens: Sequence[FormatMeasures], tokenizer: Tokenizer, block: Samples, part: slice
) -> None:
    """Compare what formats of tokens decode to with images in memory.

    Args:
        of_tokens: the formats, after `_measure_tokens`.
        tokenizer: decodes tokens.
        block: the images.
        part: their places among all samples.
    """
    restored = tokenizer.decode(block.tokens())
    for each in of_tokens:
        images = restored
        if each.decoded_tokens is not None:
            images = decode_partial(tokenizer.decode, each.decoded_tokens[part])
        each.fidelity.add(block.pixels(), images)
