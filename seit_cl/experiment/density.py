"""Bytes, fidelity and speed of exemplars in each format, measured without training."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.core.progress import track
from seit_cl.data.fractals import render
from seit_cl.data.images import common_resolution, default_resolution, load_images
from seit_cl.data.listing import SUFFIXES
from seit_cl.data.samples import Samples
from seit_cl.data.stored import ImageFile, StoredImage
from seit_cl.data.token_file import TokenFile, is_token_file, open_token_file
from seit_cl.datasets import list_data
from seit_cl.datasets._location import split_location
from seit_cl.datasets._opening import DEFAULT, recognise
from seit_cl.experiment.run_data import list_dataset
from seit_cl.formats import ExemplarFormat, FormatContext, build_format
from seit_cl.formats._baselines import BASELINES, ORIGINAL_FILES
from seit_cl.formats._image_file import write_image
from seit_cl.formats._records import Records
from seit_cl.formats.base import FittedFormat
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.memory.byte_accounting import ByteAccounting
from seit_cl.tokenizers import Tokenizer, open_tokenizer
from seit_cl.tokenizers._quality import CHECK_SEED, psnr
from seit_cl.tokenizers._stored import StoredTokenizer
from seit_cl.tokenizers.training.images import find_images

FRACTALS_SHOWN = 6
MIN_SECONDS = 0.5  # that every speed is measured for
_LARGE_BUDGET = 1 << 40  # bytes; more than any memory measured here


class ImageSource:
    """SampleSource of images in memory.

    Args:
        images: (N, 3, S, S) uint8.
        tokenizer: encodes them once.
    """

    def __init__(self, images: Tensor, tokenizer: Tokenizer) -> None:
        self._pixels = images
        self._tokens = tokenizer.encode(images)

    def __len__(self) -> int:
        return len(self._pixels)

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16."""
        return self._tokens[ids]

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8."""
        return self._pixels[ids]

    def files(self, ids: Tensor) -> list[bytes]:
        """PNG files of the images, which have no files of their own."""
        return [write_image(image.permute(1, 2, 0), "PNG") for image in self.pixels(ids)]


class FileSource(ImageSource):
    """SampleSource of image files.

    Args:
        stored: N images, or paths of image files.
        side: S, to which images are resized, in pixels.
        tokenizer: encodes them once.
    """

    def __init__(
        self, stored: Sequence[StoredImage | Path], side: int, tokenizer: Tokenizer
    ) -> None:
        super().__init__(load_images(stored, side), tokenizer)
        self.stored = list(stored)

    def files(self, ids: Tensor) -> list[bytes]:
        """Contents of the files."""
        chosen = [self.stored[i] for i in ids.tolist()]
        return [s.read_bytes() if isinstance(s, Path) else s.read() for s in chosen]


class TokenSource:
    """SampleSource of a token file's val split, or else of its first one: tokens, no images.

    Args:
        file: the token file.
        count: number of token grids, taken evenly from the split.
    """

    def __init__(self, file: TokenFile, count: int) -> None:
        first_split = next(iter(file.tokens.values()))
        tokens = file.tokens.get("val", first_split)
        self.path = file.path
        self._tokens = tokens[:: max(1, len(tokens) // count)][:count]

    def __len__(self) -> int:
        return len(self._tokens)

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16."""
        return self._tokens[ids]

    def pixels(self, ids: Tensor) -> Tensor:
        """Raise a UserError: there are no images."""
        raise self._no_images()

    def files(self, ids: Tensor) -> list[bytes]:
        """Raise a UserError: there are no images."""
        raise self._no_images()

    def _no_images(self) -> UserError:
        return UserError(
            f"{self.path}: holds tokens alone; give formats of tokens, or a folder of images"
        )


@dataclass(frozen=True)
class Material:
    """Images, or tokens alone, to measure formats on.

    Args:
        tokenizer: of the tokens.
        source: of the samples.
        side: of the images in pixels.
        classes: number of classes C, which fixes the bytes of a label.
    """

    tokenizer: Tokenizer
    source: ImageSource | TokenSource
    side: int
    classes: int

    @property
    def has_images(self) -> bool:
        """True where there are images besides tokens."""
        return isinstance(self.source, ImageSource)

    @property
    def samples(self) -> Samples:
        """All samples, with label 0."""
        count = len(self.source)
        return Samples(torch.arange(count), torch.zeros(count, dtype=torch.int64), self.source)

    @property
    def context(self) -> FormatContext:
        """Properties that the formats need."""
        tokenizer = self.tokenizer
        groups, codes, _ = tokenizer.codebook.shape
        grid_side = self.side // tokenizer.stride
        return FormatContext(
            self.side,
            self.classes,
            codes,
            (groups, grid_side, grid_side),
            tokenizer.identity,
            tokenizer.entropy_model,
        )


def open_material(data_root: Path, images: int, resolution: int, tokenizer: str) -> Material:
    """Open a folder of images, a token file, or data of another kind.

    Args:
        data_root: location of the data (seit_cl.datasets), of which the val split alone is
            measured; of a folder without one, all images.
        images: number of images or token grids, taken evenly from all of them.
        resolution: side in pixels; 0: that of a run with this folder (`default_resolution`).
        tokenizer: spec; a token file names its own tokenizer.

    Raises:
        UserError: no images, a bad tokenizer, or a side that does not fit.
    """
    if is_token_file(data_root):
        file = open_token_file(data_root)
        side = file.grid[1] * file.metadata.stride
        classes = len(file.metadata.classes)
        return Material(StoredTokenizer(file), TokenSource(file, max(1, images)), side, classes)
    opened = open_tokenizer(tokenizer)
    if not _is_folder_of_images(data_root):
        return _open_dataset(data_root, images, resolution, opened)
    paths = _choose_files(data_root, images)
    side = resolution or _default_side(data_root, paths, opened.stride)
    if side < opened.stride or side % opened.stride:
        raise UserError(f"--resolution {side}: must be a multiple of {opened.stride}")
    class_folders = {path.parent for path in find_images(data_root, "--data-root")}
    return Material(opened, FileSource(paths, side, opened), side, len(class_folders))


def _is_folder_of_images(data_root: Path) -> bool:
    """True for a folder with image files, and for a path of nothing."""
    if split_location(str(data_root)) is not None or data_root.is_file():
        return False
    kind = recognise(data_root)
    return kind == DEFAULT or any(path.suffix.lower() in SUFFIXES for path in data_root.rglob("*"))


def _open_dataset(location: Path, count: int, resolution: int, tokenizer: Tokenizer) -> Material:
    """Open the val split of data of any kind.

    Raises:
        UserError: data that cannot be read, or a side that does not fit.
    """
    dataset = list_data(location)
    if not dataset.has_images:
        raise UserError(f"--data-root {location}: has no images; give the token file itself")
    stored = dataset.val.images[:: max(1, len(dataset.val) // max(1, count))][:count]
    native_side = common_resolution(dataset.train.images)
    side = resolution or default_resolution(native_side, tokenizer.stride)
    if side < tokenizer.stride or side % tokenizer.stride:
        raise UserError(f"--resolution {side}: must be a multiple of {tokenizer.stride}")
    source = ImageSource(load_images(stored, side), tokenizer)
    if dataset.has_files:
        source = FileSource(stored, side, tokenizer)
    return Material(tokenizer, source, side, len(dataset.classes))


def _choose_files(data_root: Path, count: int) -> list[Path]:
    """Choose image files evenly from all of a folder.

    Raises:
        UserError: no such folder, no images in it, or a count below 1.
    """
    if count < 1:
        raise UserError(f"--images {count}: must be at least 1")
    if not data_root.is_dir():
        raise UserError(f"--data-root {data_root}: no such folder")
    val = data_root / "val"
    paths = find_images(val if val.is_dir() else data_root, "--data-root")
    return paths[:: max(1, len(paths) // count)][:count]


def _default_side(data_root: Path, found: list[Path], stride: int) -> int:
    """The side in pixels at which a run would use a folder.

    Args:
        data_root: the folder.
        found: image files in it, which decide where the folder has no classes for a run.
        stride: of the tokenizer.

    Raises:
        UserError: an image cannot be read.
    """
    images: Sequence[StoredImage] = [ImageFile(path, data_root) for path in found]
    with contextlib.suppress(UserError):
        images = list_dataset(RunConfig(data_root=data_root)).train.images
    return default_resolution(common_resolution(images), stride)


def build_formats(specs: Sequence[str], context: FormatContext) -> list[ExemplarFormat]:
    """Build the formats to measure.

    Raises:
        UserError: an unknown format, or one with an option that is fitted to a run.
    """
    formats = [build_format(spec, context) for spec in specs]
    for fmt in formats:
        if isinstance(fmt, FittedFormat) and fmt.unfitted:
            raise UserError(
                f"--format {fmt.spec}: is chosen for a budget and labelled images in a run; "
                "name qualities here"
            )
    return formats


def measure(formats: list[ExemplarFormat], material: Material, console: Console) -> pd.DataFrame:
    """Measure formats and baselines.

    Returns:
        A row per format, as `measure_format` makes it, then one per baseline with "format" and
        "bytes_each" alone.
    """
    rows = [measure_format(fmt, material) for fmt in track(formats, "measuring", console)]
    for name, baseline in BASELINES.items():
        if name != ORIGINAL_FILES or isinstance(material.source, FileSource):
            size = baseline(material.samples, material.context.codes)
            rows.append({"format": name, "bytes_each": size})
    return pd.DataFrame(rows)


def measure_format(fmt: ExemplarFormat, material: Material) -> dict[str, object]:
    """Measure bytes, speeds and fidelity of a format.

    Returns:
        format: canonical spec.
        bytes_each: mean bytes of an exemplar in a memory file; payload, label and length: those of
            its record, label and length.
        header, tables: bytes that a memory file takes once.
        codec_bytes: bytes of tokenizer and codec.
        encode_per_second, decode_per_second: images per second.
        psnr, ssim, tokens_kept: as `measure_fidelity` returns them.
    """
    samples = material.samples
    records = fmt.encode(samples)
    empty_memory = ByteBudgetBuffer(_LARGE_BUDGET, fmt, material.context).used_bytes
    header = empty_memory - len(fmt.side_info)
    accounting = ByteAccounting(fmt, material.classes, {}, header)
    total = sum(accounting.exemplar_bytes(length) for length in records.lengths.tolist())
    bytes_each = float(total) / len(records)
    payload = float(records.lengths.double().mean())
    tokenizer_bytes = material.tokenizer.codec_bytes if fmt.domain == "tokens" else 0
    return {
        "format": fmt.spec,
        "bytes_each": bytes_each,
        "payload": payload,
        "label": accounting.label_bytes,
        "length": bytes_each - payload - accounting.label_bytes - accounting.field_bytes,
        "header": header,
        "tables": len(fmt.side_info),
        "codec_bytes": tokenizer_bytes + fmt.codec_bytes,
        "encode_per_second": images_per_second(lambda: fmt.encode(samples), len(samples)),
        "decode_per_second": images_per_second(lambda: fmt.decode(records), len(samples)),
        **measure_fidelity(fmt, records, material),
    }


def images_per_second(call: Callable[[], object], images: int) -> float:
    """Speed of a call that processes so many images, over at least MIN_SECONDS."""
    rounds = 0
    seconds = 0.0
    started = time.perf_counter()
    while rounds == 0 or seconds < MIN_SECONDS:
        call()
        rounds += 1
        seconds = time.perf_counter() - started
    return rounds * images / seconds


def measure_fidelity(fmt: ExemplarFormat, records: Records, material: Material) -> dict[str, float]:
    """Compare decoded samples with the original ones.

    Returns:
        psnr: in dB; nan where no images are decoded, infinite where all are equal.
        ssim: structural similarity (Wang et al., 2004); nan where no images are decoded.
        tokens_kept: fraction of tokens that a token learner sees unchanged.
    """
    decoded = fmt.decode(records)
    images = _as_images(fmt, decoded, material.tokenizer) if material.has_images else None
    tokens = decoded if fmt.domain == "tokens" else material.tokenizer.encode(decoded)
    samples = material.samples
    tokens_kept = float((tokens == samples.tokens()).double().mean())
    if images is None:
        return {"psnr": math.nan, "ssim": math.nan, "tokens_kept": tokens_kept}
    from torchmetrics.functional.image import structural_similarity_index_measure

    pixels = samples.pixels()
    ssim = structural_similarity_index_measure(images.float(), pixels.float(), data_range=255.0)
    assert isinstance(ssim, Tensor)
    return {"psnr": psnr(pixels, images), "ssim": float(ssim), "tokens_kept": tokens_kept}


def _as_images(fmt: ExemplarFormat, decoded: Tensor, tokenizer: Tokenizer) -> Tensor | None:
    """Images (B, 3, S, S) uint8 of decoded samples; None where the tokenizer decodes no tokens."""
    if fmt.domain == "pixels":
        return decoded
    return tokenizer.decode(decoded) if tokenizer.decodes else None


@dataclass(frozen=True)
class Examples:
    """Images before and after each format.

    Args:
        originals: (B, 3, S, S) uint8.
        decoded: (B, 3, S, S) uint8 by format, for formats of which images are decoded.
        sizes: bytes (B,) of the records by format, for the same.
    """

    originals: Tensor
    decoded: dict[str, Tensor]
    sizes: dict[str, Tensor]


def encode_examples(
    paths: Sequence[Path], formats: list[ExemplarFormat], material: Material
) -> Examples:
    """Encode and decode example images in every format.

    Args:
        paths: image files; fractals are rendered where there are none.
        formats: with the context of the material.
        material: its tokenizer and side are used.
    """
    tokenizer = material.tokenizer
    if paths:
        source: ImageSource = FileSource(paths, material.side, tokenizer)
    else:
        fractals, _ = render(FRACTALS_SHOWN, 1, material.side, CHECK_SEED, "val")
        source = ImageSource(fractals, tokenizer)
    samples = Material(tokenizer, source, material.side, material.classes).samples
    examples = Examples(samples.pixels(), {}, {})
    for fmt in formats:
        records = fmt.encode(samples)
        images = _as_images(fmt, fmt.decode(records), tokenizer)
        if images is not None:
            examples.decoded[fmt.spec] = images
            examples.sizes[fmt.spec] = records.lengths
    return examples
