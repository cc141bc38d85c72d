"""Reading image files and tokenizing them: images per second against plain torchvision decoding.

Reading is measured by the CPU time of one thread, with small files of 64 x 64 pixels and files of
ImageNet's usual size, 500 x 375 pixels and about 110 kB; and on all cores, by the clock. Tokenizing
is measured with decoding beside the encoder and before it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from PIL import Image
from torch import Tensor

from benchmarks.measure import Spread, interleave, round_ratios
from benchmarks.peers import ReadByPil, ReadByTorchvision, ReadOnGpu
from benchmarks.tokenizing import Tokenizing, measure_tokenizing, speeds
from seit_cl.core.cli import run_command
from seit_cl.core.devices import allowed_cores, choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.machine import torch_threads
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images
from seit_cl.reporting.markdown import page, publish, table, typed_command

Reader = Callable[[Sequence[Path]], Tensor]
OURS = "seit_cl"
ONE_CORE = "seit_cl, one core"
ALL_CORES = "seit_cl, all cores"
ON_GPU = "torchvision on the GPU"
SMALL = 64  # side of the small files in pixels
FULL_SIZE = (500, 375)  # width and height of the others
RENDERED = 256  # side of the fractals that these are cut from
DISTINCT = 16  # full-size images; the others are their copies
# Qualities that give files of about the size of Tiny-ImageNet's, 2 kB, and of ImageNet's, 110 kB,
# most of which do not halve the resolution of chroma.
SMALL_QUALITY = 80
FULL_QUALITY = 96


@dataclass(frozen=True)
class Options:
    """Options of the reading benchmark."""

    small: Annotated[int, tyro.conf.arg(help="number of 64 px files")] = 1024
    full_size: Annotated[int, tyro.conf.arg(help="number of full-size files")] = 64
    small_root: Annotated[
        Path | None, tyro.conf.arg(help="folder of small JPEG files; none: fractals")
    ] = None
    full_size_root: Annotated[
        Path | None, tyro.conf.arg(help="folder of full-size JPEG files; none: fractals")
    ] = None
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="device of the tokenizer")] = "cpu"
    threads: Annotated[int, tyro.conf.arg(help="the tokenizer's CPU threads; 0: torch's own")] = 0
    rounds: Annotated[int, tyro.conf.arg(help="interleaved rounds of measurement")] = 7
    write: Annotated[Path | None, tyro.conf.arg(help="file to write the page to")] = None


@dataclass(frozen=True)
class Reading:
    """Speeds of reading some files.

    Args:
        files: describes them.
        speeds: images per second of CPU time, by reader.
        ratios: speed of seit_cl over each reader's.
        clock: images per second by the clock: seit_cl on one core and on all, and a GPU.
    """

    files: str
    speeds: Mapping[str, Spread]
    ratios: Mapping[str, Spread]
    clock: Mapping[str, Spread]


@dataclass(frozen=True)
class Result:
    """Measurements of reading and tokenizing, for each kind of file."""

    reading: Sequence[Reading]
    tokenizing: Sequence[Tokenizing]


def write_small(folder: Path, count: int) -> list[Path]:
    """Write fractals of 64 px as JPEG files."""
    images = render(8, -(-count // 8), SMALL, 0, "val")[0][:count]
    paths = []
    for row, image in enumerate(images):
        path = folder / f"small{row:06d}.jpg"
        pixels = Image.fromarray(image.permute(1, 2, 0).numpy())
        pixels.save(path, quality=SMALL_QUALITY)
        paths.append(path)
    return paths


def write_full_size(folder: Path, count: int) -> list[Path]:
    """Write enlarged fractals as JPEG files of about 110 kB."""
    images = render(8, DISTINCT // 8, RENDERED, 0, "val")[0]
    width, height = FULL_SIZE
    box = (0, 0, RENDERED, RENDERED * height / width)
    files = []
    for row, image in enumerate(images):
        path = folder / f"full{row:06d}.jpg"
        pixels = Image.fromarray(image.permute(1, 2, 0).numpy())
        enlarged = pixels.resize(FULL_SIZE, Image.Resampling.BICUBIC, box=box)
        enlarged.save(path, quality=FULL_QUALITY, subsampling="4:4:4")
        files.append(path.read_bytes())
    paths = []
    for row in range(count):
        path = folder / f"full{row:06d}.jpg"
        path.write_bytes(files[row % DISTINCT])
        paths.append(path)
    return paths


def files_below(root: Path, count: int, option: str) -> list[Path]:
    """List the first JPEG files below a folder.

    Raises:
        UserError: there are none.
    """
    paths = [path for path in sorted(root.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    if not paths:
        raise UserError(f"{option} {root}: no .jpg or .jpeg files there; give another folder")
    return paths[:count]


def readers(side: int) -> dict[str, Reader]:
    """Readers in one thread at an image side in pixels, by name."""
    return {
        OURS: partial(load_images, resolution=side, threads=1),
        "torchvision tensors, bilinear": ReadByTorchvision(side, "bilinear"),
        "torchvision tensors, bicubic": ReadByTorchvision(side, "bicubic"),
        "ImageFolder's PIL loader, bilinear": ReadByPil(side, "bilinear"),
        "ImageFolder's PIL loader, bicubic": ReadByPil(side, "bicubic"),
    }


def parallel_readers(side: int, device: torch.device) -> dict[str, Reader]:
    """Readers on one core, on all cores and, where there is one, on a GPU, by name."""
    found: dict[str, Reader] = {
        ONE_CORE: partial(load_images, resolution=side, threads=1),
        ALL_CORES: partial(load_images, resolution=side),
    }
    if device.type == "cuda":
        found[ON_GPU] = ReadOnGpu(side, device)
    return found


def measure_reading(paths: Sequence[Path], side: int, options: Options) -> Reading:
    """Time every reader on the same files, with one torch thread."""
    device = choose_device(options.device)
    with torch_threads(1):
        cpu_seconds = timings(readers(side), paths, options, time.process_time)
        seconds = timings(parallel_readers(side, device), paths, options, time.perf_counter)
    ratios: dict[str, Spread] = {}
    for name, times in cpu_seconds.items():
        ratios[name] = round_ratios(times, cpu_seconds[OURS])
    size = sum(path.stat().st_size for path in paths) / len(paths)
    with Image.open(paths[0]) as image:
        files = f"{image.width} x {image.height} px, {size / 1000:.1f} kB"
    return Reading(
        f"{files}, read at {side} px",
        speeds(cpu_seconds, len(paths)),
        ratios,
        speeds(seconds, len(paths)),
    )


def timings(
    compared: Mapping[str, Reader],
    paths: Sequence[Path],
    options: Options,
    clock: Callable[[], float],
) -> dict[str, list[float]]:
    """Seconds of reading all files, by reader, one value per round."""
    calls: dict[str, Callable[[], object]] = {}
    for name, reader in compared.items():
        calls[name] = partial(reader, paths)
    return interleave(calls, options.rounds, 0, choose_device(options.device), clock)


def measure(options: Options) -> Result:
    """Time reading and tokenizing of small and of full-size files.

    Raises:
        UserError: CUDA was requested and is not available, or a folder without JPEG files.
    """
    device = choose_device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        if options.small_root is None:
            small = write_small(Path(folder), options.small)
        else:
            small = files_below(options.small_root, options.small, "--small-root")
        if options.full_size_root is None:
            full_size = write_full_size(Path(folder), options.full_size)
        else:
            full_size = files_below(options.full_size_root, options.full_size, "--full-size-root")
        reading = [
            measure_reading(small, SMALL, options),
            measure_reading(full_size, SMALL, options),
            measure_reading(full_size, RENDERED, options),
        ]
        with torch_threads(options.threads):
            tokenizing = [
                measure_tokenizing(small, SMALL, device, options.rounds),
                measure_tokenizing(full_size, SMALL, device, options.rounds),
                measure_tokenizing(full_size, RENDERED, device, options.rounds),
            ]
    return Result(reading, tokenizing)


def reading_section(reading: Reading) -> str:
    """Heading and table of the readers of some files."""
    rows = []
    for name, speed in reading.speeds.items():
        rows.append([name, speed.text(), reading.ratios[name].text(2)])
    one_thread = table(["one thread", "images/s of CPU time", "seit_cl over it"], rows)
    clock_rows = [[name, speed.text()] for name, speed in reading.clock.items()]
    by_the_clock = table(["by the clock", "images/s"], clock_rows)
    return f"## Files of {reading.files}\n\n{one_thread}\n\n{by_the_clock}"


def tokenizing_section(results: Sequence[Tokenizing]) -> str:
    """Heading and table of tokenizing."""
    rows = []
    for result in results:
        rows.append(
            [
                result.files,
                result.decoding.text(),
                result.encoding.text(),
                result.one_after_the_other.text(),
                result.overlapped.text(),
                result.gain.text(2),
                f"{result.waiting:.0%}",
            ]
        )
    head = [
        "files",
        "decoding alone",
        "encoding alone",
        "one after the other",
        "overlapped",
        "overlapped over one after the other",
        "the encoder waits",
    ]
    return f"## Decoding and tokenizing, images/s\n\n{table(head, rows)}"


def report(result: Result, options: Options, typed: str) -> str:
    """Write the page of a result, in Markdown."""
    threads = options.threads or torch.get_num_threads()
    about = (
        f"{options.rounds} interleaved rounds; images/s and ratios as median (10th–90th "
        "percentile) over the rounds. torchvision's users write Resize and CenterCrop: bilinear is "
        "the default there, bicubic what seit_cl does. Tokenizing is with the bundled tokenizer in "
        f"float32, on {options.device}, torch's CPU threads: {threads}; files are decoded on "
        f"{allowed_cores()} cores. The encoder waits in the time that it spends outside encoding, "
        "until the next images are decoded."
    )
    sections = [about]
    for reading in result.reading:
        sections.append(reading_section(reading))
    sections.append(tokenizing_section(result.tokenizing))
    return page("Reading image files", typed, torch.device(options.device), sections)


def main() -> None:
    """Measure, print the page, and write it if asked to."""
    options = tyro.cli(Options, description=__doc__)
    publish(report(measure(options), options, typed_command("benchmarks.reading")), options.write)


if __name__ == "__main__":
    run_command(main)
