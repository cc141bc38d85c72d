"""Images, or tokens alone, that formats are measured on without training.

Images are read from their files block by block; their tokens are in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.core.notes import note
from seit_cl.core.token_shapes import token_shape
from seit_cl.data.folder import find_bad
from seit_cl.data.images import common_resolution, default_resolution, load_images
from seit_cl.data.listing import has_images, some_names
from seit_cl.data.samples import Samples
from seit_cl.data.split_folders import find_splits
from seit_cl.data.stored import ImageFile, StoredImage
from seit_cl.data.token_file import TokenFile, is_token_file, open_token_file
from seit_cl.datasets import list_data
from seit_cl.datasets._location import split_location
from seit_cl.datasets._opening import DEFAULT, recognise
from seit_cl.experiment.readable import advising_to_skip
from seit_cl.experiment.run_data import list_dataset
from seit_cl.formats import ExemplarFormat, FormatContext, build_format
from seit_cl.formats._image_file import write_image
from seit_cl.formats.base import FittedFormat
from seit_cl.tokenizers import Tokenizer, open_tokenizer
from seit_cl.tokenizers._encoding import encode_files
from seit_cl.tokenizers._stored import StoredTokenizer
from seit_cl.tokenizers.training.images import find_images


class ImageSource:
    """SampleSource of stored images, which are decoded when they are asked for.

    Args:
        stored: N images, or paths of image files.
        side: S, to which images are resized, in pixels.
        tokenizer: encodes them once.
        has_files: False for images that are arrays of pixels.
    """

    has_images = True

    def __init__(
        self,
        stored: Sequence[StoredImage | Path],
        side: int,
        tokenizer: Tokenizer,
        has_files: bool = True,
    ) -> None:
        self.stored = list(stored)
        self.has_files = has_files
        self._side = side
        self._tokens = encode_files(self.stored, tokenizer, side)

    def __len__(self) -> int:
        return len(self.stored)

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16."""
        return self._tokens[ids]

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8."""
        return load_images([self.stored[i] for i in ids.tolist()], self._side)

    def files(self, ids: Tensor) -> list[bytes]:
        """Contents of the files, or PNG files of images that have none."""
        if not self.has_files:
            return [write_image(image.permute(1, 2, 0), "PNG") for image in self.pixels(ids)]
        chosen = [self.stored[i] for i in ids.tolist()]
        return [s.read_bytes() if isinstance(s, Path) else s.read() for s in chosen]


class TokenSource:
    """SampleSource of a token file's val split, or else of its first one: tokens, no images.

    Args:
        file: the token file.
        count: number of token grids, taken evenly from the split.
    """

    has_images = False
    has_files = False

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
        return self.source.has_images

    @property
    def samples(self) -> Samples:
        """All samples, with label 0."""
        count = len(self.source)
        return Samples(torch.arange(count), torch.zeros(count, dtype=torch.int64), self.source)

    @property
    def context(self) -> FormatContext:
        """Properties that the formats need."""
        tokenizer = self.tokenizer
        return FormatContext(
            self.side,
            self.classes,
            tokenizer.codebook.shape[1],
            token_shape(tokenizer, self.side),
            tokenizer.identity,
            tokenizer.entropy_model,
        )


def open_material(
    data_root: Path, images: int, resolution: int, tokenizer: str, skip_bad_images: bool = False
) -> Material:
    """Open a folder of images, a token file, or data of another kind.

    Args:
        data_root: location of the data (seit_cl.datasets), of which the val split alone is
            measured; of a folder without one, all images.
        images: number of images or token grids, taken evenly from all of them.
        resolution: side in pixels; 0: that of a run with this folder (`default_resolution`).
        tokenizer: spec; a token file names its own tokenizer.
        skip_bad_images: leave unreadable images out of those to measure, and note them.

    Raises:
        UserError: no images, an unreadable one, a count below 1, a bad tokenizer, or a side that
            does not fit.
    """
    if images < 1:
        raise UserError(f"--images {images}: must be at least 1")
    if is_token_file(data_root):
        file = open_token_file(data_root)
        side = file.grid[1] * file.metadata.stride
        classes = len(file.metadata.classes)
        return Material(StoredTokenizer(file), TokenSource(file, images), side, classes)
    opened = open_tokenizer(tokenizer)
    if not _is_folder_of_images(data_root):
        return _open_dataset(data_root, images, resolution, opened, skip_bad_images)
    paths = _choose_files(data_root, images)
    side = resolution or _default_side(data_root, paths, opened.stride, skip_bad_images)
    if side < opened.stride or side % opened.stride:
        raise UserError(f"--resolution {side}: must be a multiple of {opened.stride}")
    class_folders = {path.parent for path in find_images(data_root, "--data-root")}
    files = [ImageFile(path, data_root) for path in paths]
    source = _image_source(files, side, opened, True, skip_bad_images)
    return Material(opened, source, side, len(class_folders))


def _image_source(
    images: Sequence[StoredImage],
    side: int,
    tokenizer: Tokenizer,
    has_files: bool,
    skip_bad_images: bool,
) -> ImageSource:
    """Encode the images, without those that cannot be decoded where they may be left out.

    Raises:
        UserError: one that cannot be decoded, or no other.
    """
    if not skip_bad_images:
        with advising_to_skip():
            return ImageSource(images, side, tokenizer, has_files)
    bad = set(find_bad(images, side))
    readable = [image for row, image in enumerate(images) if row not in bad]
    if not readable:
        raise UserError(f"{images[0]}: cannot be read, nor can any other image; give readable ones")
    if bad:
        names = some_names([str(images[row]) for row in sorted(bad)])
        note(f"{len(bad)} of {len(images)} images cannot be read and are left out: {names}")
    return ImageSource(readable, side, tokenizer, has_files)


def _is_folder_of_images(data_root: Path) -> bool:
    """True for a folder with image files, and for a path of nothing."""
    if split_location(str(data_root)) is not None or data_root.is_file():
        return False
    kind = recognise(data_root)
    return kind == DEFAULT or (data_root.is_dir() and has_images(data_root))


def _open_dataset(
    location: Path, count: int, resolution: int, tokenizer: Tokenizer, skip_bad_images: bool
) -> Material:
    """Open the val split of data of any kind.

    Raises:
        UserError: data that cannot be read, or a side that does not fit.
    """
    dataset = list_data(location)
    if not dataset.has_images:
        raise UserError(f"--data-root {location}: has no images; give the token file itself")
    stored = dataset.val.images[:: max(1, len(dataset.val) // count)][:count]
    with advising_to_skip():
        native_side = common_resolution(dataset.train.images, skip_bad_images)
    side = resolution or default_resolution(native_side, tokenizer.stride)
    if side < tokenizer.stride or side % tokenizer.stride:
        raise UserError(f"--resolution {side}: must be a multiple of {tokenizer.stride}")
    source = _image_source(stored, side, tokenizer, dataset.has_files, skip_bad_images)
    return Material(tokenizer, source, side, len(dataset.classes))


def _choose_files(data_root: Path, count: int) -> list[Path]:
    """Choose image files evenly from all of a folder.

    Raises:
        UserError: no such folder, or no images in it.
    """
    if not data_root.is_dir():
        raise UserError(f"--data-root {data_root}: no such folder")
    val = "val" if (data_root / "val").is_dir() else find_splits(data_root).val
    paths = find_images(data_root / val, "--data-root")
    return paths[:: max(1, len(paths) // count)][:count]


def _default_side(data_root: Path, found: list[Path], stride: int, skip_bad_images: bool) -> int:
    """The side in pixels at which a run would use a folder.

    Args:
        data_root: the folder.
        found: image files in it, which decide where the folder has no classes for a run.
        stride: of the tokenizer.
        skip_bad_images: pass over images that cannot be read.

    Raises:
        UserError: an image cannot be read.
    """
    images: Sequence[StoredImage] = [ImageFile(path, data_root) for path in found]
    with contextlib.suppress(UserError):
        images = list_dataset(RunConfig(data_root=data_root)).train.images
    with advising_to_skip():
        return default_resolution(common_resolution(images, skip_bad_images), stride)


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
