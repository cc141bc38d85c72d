"""`python -m seit_cl.density`: how many exemplars fit in each format, what they cost and what comes back, with no training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import tyro
from PIL import Image
from rich.console import Console
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from seit_cl.core.cli import parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.core.progress import track
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images
from seit_cl.data.samples import Samples
from seit_cl.data.token_file import TokenFile, is_token_file, open_token_file
from seit_cl.formats import ExemplarFormat, build_format
from seit_cl.formats._baselines import BASELINES, ORIGINAL_FILES
from seit_cl.formats._image_file import write_image
from seit_cl.formats._records import Records
from seit_cl.formats.base import FittedFormat, FormatContext
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.memory.byte_accounting import ByteAccounting
from seit_cl.reporting import density
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizers._picture import save_png
from seit_cl.tokenizers._quality import CHECK_SEED, psnr
from seit_cl.tokenizers._stored import StoredTokenizer
from seit_cl.tokenizers.training.images import find_images

DEFAULT = (
    "raw",
    "png",
    "jpeg:quality=75",
    "jpeg:quality=25",
    "jpeg_scan:quality=25",
    "webp:quality=25",
    "avif:quality=25",
    "tokens",
    "tokens:coder=table",
    "tokens:coder=context",
)
LARGE = 256  # side that images of many sizes are brought to
LOOKED_AT = 50  # images whose sizes say what the data set's is
SHOWN = 6  # fractals of the picture
TIMED = 0.5  # seconds that a speed is measured for, at least


@dataclass(frozen=True)
class Options:
    """Options of the density table."""

    data_root: Annotated[
        Path, tyro.conf.arg(help="folder of images, only val/ where there is one; or a token file")
    ]
    format: Annotated[tuple[str, ...], tyro.conf.arg(help="formats to compare")] = DEFAULT
    memory_mb: Annotated[tuple[float, ...], tyro.conf.arg(help="budgets in MB (10^6 bytes)")] = (
        1.0,
        10.0,
        100.0,
    )
    resolution: Annotated[
        int, tyro.conf.arg(help="side in pixels; 0: the images' own where all have one, else 256")
    ] = 0
    images: Annotated[int, tyro.conf.arg(help="images to measure on, from all over the folder")] = (
        500
    )
    tokenizer: Annotated[
        str, tyro.conf.arg(help="a tokenizer file, or kind:SOURCE,option=value")
    ] = DEFAULT_TOKENIZER
    show: Annotated[
        tuple[Path, ...], tyro.conf.arg(help="images of the picture; fractals where none is named")
    ] = ()
    out: Annotated[Path, tyro.conf.arg(help="folder of table, figure and picture")] = Path(
        "density"
    )


class Shown:
    """A SampleSource of images that are at hand.

    Args:
        images: (N, 3, S, S) uint8.
        tokenizer: makes their tokens.
    """

    def __init__(self, images: Tensor, tokenizer: Tokenizer) -> None:
        self._pixels, self._tokens = images, tokenizer.encode(images)

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16."""
        return self._tokens[ids]

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8."""
        return self._pixels[ids]

    def files(self, ids: Tensor) -> list[bytes]:
        """PNG files of them: they came from none."""
        return [write_image(image.permute(1, 2, 0), "PNG") for image in self.pixels(ids)]


class FileSource(Shown):
    """The same of image files.

    Args:
        paths: N files.
        side: S, pixels.
        tokenizer: makes their tokens.
    """

    def __init__(self, paths: list[Path], side: int, tokenizer: Tokenizer) -> None:
        super().__init__(load_images(paths, side), tokenizer)
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def files(self, ids: Tensor) -> list[bytes]:
        """The files' bytes."""
        return [self.paths[i].read_bytes() for i in ids.tolist()]


class TokenSource:
    """The same of a token file's val split, or of train where there is none: tokens alone.

    Args:
        file: the token file.
        count: images to take, from all over the split.
    """

    def __init__(self, file: TokenFile, count: int) -> None:
        tokens = file.tokens.get("val", next(iter(file.tokens.values())))
        self.path, self._tokens = file.path, tokens[:: max(1, len(tokens) // count)][:count]

    def __len__(self) -> int:
        return len(self._tokens)

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16."""
        return self._tokens[ids]

    def pixels(self, ids: Tensor) -> Tensor:
        """Raises UserError: there are none."""
        raise UserError(
            f"{self.path}: holds tokens alone; give formats of tokens, or a folder of images"
        )

    def files(self, ids: Tensor) -> list[bytes]:
        """Raises UserError: there are none."""
        raise UserError(
            f"{self.path}: holds tokens alone; give formats of tokens, or a folder of images"
        )


def choose(options: Options) -> list[Path]:
    """The image files to measure on, from all over the folder.

    Raises:
        UserError: no such folder, no images in it, or none asked for.
    """
    if options.images < 1:
        raise UserError(f"--images {options.images}: must be at least 1")
    if not options.data_root.is_dir():
        raise UserError(f"--data-root {options.data_root}: no such folder")
    val = options.data_root / "val"
    found = find_images(val if val.is_dir() else options.data_root, "--data-root")
    return found[:: max(1, len(found) // options.images)][: options.images]


def choose_side(options: Options, paths: list[Path], stride: int) -> int:
    """The side in pixels to measure at.

    Raises:
        UserError: it does not fit the tokenizer, or an image cannot be read.
    """
    side = options.resolution
    if side == 0:
        try:
            sizes = {Image.open(path).size for path in paths[:LOOKED_AT]}
        except OSError as error:
            raise UserError(f"{error}; remove it") from error
        (width, height), *more = sizes
        side = width if not more and width == height and width % stride == 0 else LARGE
    if side < stride or side % stride:
        raise UserError(f"--resolution {side}: must be a multiple of {stride}")
    return side


def speed(call: Callable[[], object], images: int) -> float:
    """Images a second of a call that works on so many."""
    began, rounds = time.perf_counter(), 0
    while (taken := time.perf_counter() - began) < TIMED or rounds == 0:
        call()
        rounds += 1
    return rounds * images / taken


def row(
    fmt: ExemplarFormat, samples: Samples, context: FormatContext, tokenizer: Tokenizer
) -> dict[str, object]:
    """What a format makes of samples: bytes, speeds on one core, fidelity."""
    records = fmt.encode(samples)
    empty = ByteBudgetBuffer(1 << 40, fmt, context).used_bytes
    meter = ByteAccounting(fmt, context.classes, {}, empty - len(fmt.side_info))
    each = float(sum(meter.exemplar_bytes(length) for length in records.lengths.tolist())) / len(
        records
    )
    payload = float(records.lengths.double().mean())
    needs = tokenizer.codec_bytes if fmt.domain == "tokens" else 0
    return {
        "format": fmt.spec,
        "bytes_each": each,
        "payload": payload,
        "label": meter.label_bytes,
        "length": each - payload - meter.label_bytes - meter.field_bytes,
        "header": meter.header_bytes,
        "tables": len(fmt.side_info),
        "codec_bytes": needs + fmt.codec_bytes,
        "encode_per_second": speed(lambda: fmt.encode(samples), len(samples)),
        "decode_per_second": speed(lambda: fmt.decode(records), len(samples)),
        **fidelity(fmt, records, samples, tokenizer),
    }


def given_back(fmt: ExemplarFormat, records: Records, tokenizer: Tokenizer) -> Tensor | None:
    """Images (B, 3, S, S) uint8 as a format gives them back; None where it holds tokens of which none come back."""
    decoded = fmt.decode(records)
    if fmt.domain == "pixels":
        return decoded
    return tokenizer.decode(decoded) if tokenizer.decodes else None


def fidelity(
    fmt: ExemplarFormat, records: Records, samples: Samples, tokenizer: Tokenizer
) -> dict[str, float]:
    """PSNR in dB, structural similarity (Wang et al., 2004), and the fraction of tokens that a learner sees unchanged."""
    alone = isinstance(samples.source, TokenSource)
    back = None if alone else given_back(fmt, records, tokenizer)
    seen = fmt.decode(records) if fmt.domain == "tokens" or back is None else tokenizer.encode(back)
    kept = float((seen == samples.tokens()).double().mean())
    if back is None:
        return {"psnr": math.nan, "ssim": math.nan, "tokens_kept": kept}
    pixels = samples.pixels()
    alike = structural_similarity_index_measure(back.float(), pixels.float(), data_range=255.0)
    assert isinstance(alike, Tensor)
    return {"psnr": psnr(pixels, back), "ssim": float(alike), "tokens_kept": kept}


def look(
    options: Options, side: int, formats: list[ExemplarFormat], tokenizer: Tokenizer
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Images of the picture (B, 3, S, S), the same as each format that does gives them back, and the bytes (B,) of records."""
    if options.show:
        source: Shown = FileSource(list(options.show), side, tokenizer)
    else:
        source = Shown(render(SHOWN, 1, side, CHECK_SEED, "val")[0], tokenizer)
    samples = Samples(
        ids := torch.arange(len(options.show) or SHOWN), torch.zeros_like(ids), source
    )
    images = samples.pixels()
    records = {fmt.spec: fmt.encode(samples) for fmt in formats}
    restored = {fmt.spec: given_back(fmt, records[fmt.spec], tokenizer) for fmt in formats}
    back = {spec: images for spec, images in restored.items() if images is not None}
    return images, back, {spec: records[spec].lengths for spec in back}


def measure(
    formats: list[ExemplarFormat],
    samples: Samples,
    context: FormatContext,
    tokenizer: Tokenizer,
    console: Console,
) -> pd.DataFrame:
    """The table's rows: formats, and what others store."""
    shown = track(formats, "measuring", console)
    rows = [row(fmt, samples, context, tokenizer) for fmt in shown]
    rivals = dict(BASELINES)
    if isinstance(samples.source, TokenSource):
        del rivals[ORIGINAL_FILES]
    rows += [
        {"format": name, "bytes_each": rival(samples, context.codes)}
        for name, rival in rivals.items()
    ]
    return pd.DataFrame(rows)


def material(options: Options) -> tuple[Tokenizer, TokenSource | FileSource, int, int]:
    """Tokenizer, images or tokens, their side in pixels, and the number of classes.

    Raises:
        UserError: no images, a bad tokenizer, or a side that does not fit.
    """
    if is_token_file(options.data_root):
        file = open_token_file(options.data_root)
        source = TokenSource(file, max(1, options.images))
        return (
            StoredTokenizer(file),
            source,
            file.grid[1] * file.metadata.stride,
            len(file.metadata.classes),
        )
    tokenizer, paths = open_tokenizer(options.tokenizer), choose(options)
    side = choose_side(options, paths, tokenizer.stride)
    classes = len({path.parent for path in find_images(options.data_root, "--data-root")})
    return tokenizer, FileSource(paths, side, tokenizer), side, classes


def main() -> None:
    """Measure, and write table, figure and picture; of a token file no picture."""
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m seit_cl.density", description=__doc__)
    )
    console = Console(soft_wrap=True)
    tokenizer, source, side, classes = material(options)
    alone = isinstance(source, TokenSource)
    groups, codes, _ = tokenizer.codebook.shape
    context = FormatContext(
        side,
        classes,
        codes,
        (groups, side // tokenizer.stride, side // tokenizer.stride),
        tokenizer.identity,
        tokenizer.entropy_model,
    )
    wanted = [
        spec
        for spec in options.format
        if not alone or options.format != DEFAULT or spec == "tokens"
    ]
    formats = [build_format(spec, context) for spec in wanted]
    for fmt in formats:
        if isinstance(fmt, FittedFormat) and fmt.unfitted:
            raise UserError(
                f"--format {fmt.spec}: is chosen for a budget and labelled images in a run; name qualities here"
            )
    samples = Samples(
        torch.arange(len(source)), torch.zeros(len(source), dtype=torch.int64), source
    )
    torch.set_num_threads(1)  # speeds are those of one core
    with torch.inference_mode():
        table = measure(formats, samples, context, tokenizer, console)
        seen = None if alone else look(options, side, formats, tokenizer)
    options.out.mkdir(parents=True, exist_ok=True)
    page = density.markdown(
        table, options.memory_mb, f"{len(source):,} images of {options.data_root.name} at {side} px"
    )
    write_atomic(options.out / "density.csv", table.to_csv(index=False, lineterminator="\n"))
    write_atomic(options.out / "density.md", page)
    save_png(density.figure(table), options.out / "bytes.png")
    if seen is not None:
        save_png(density.picture(*seen), options.out / "images.png")
    console.print(page, markup=False, highlight=False)


if __name__ == "__main__":
    run_command(main)
