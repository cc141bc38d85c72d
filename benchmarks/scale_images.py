"""ImageNet's size as files: a folder of 1.28 million JPEGs, listed, offered to memories, tokenized.

Some thousand files of 500 x 375 px and 110 kB, as ImageNet's are on average, are fractals with
noise. Hard links repeat them, so that a listing sees as many files as ImageNet has and a disk needs
no 140 GB. The other parts are measured on some of the files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from benchmarks.scale import OFFER, SIDE, TRAIN, VAL, Measured
from seit_cl.core.cli import run_command
from seit_cl.core.devices import limit_threads
from seit_cl.core.progress import progress_bars
from seit_cl.data.base import Dataset
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images
from seit_cl.data.listed_classes import imagenet_wnids
from seit_cl.data.samples import Samples
from seit_cl.datasets import list_data
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.reporting.markdown import page, publish, table, typed_command
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._encoding import encode_files
from seit_cl.tokenizers.commands._parts import prepare_parts

SIZE = (500, 375)  # pixels, width and height
NOISE = 18.0  # standard deviation, of 255, that brings a file to 110 kB
QUALITY = 90  # of the files
LINKS = 60_000  # links to a file, of which ext4 allows 65,000


@dataclass(frozen=True)
class Options:
    """Options of the benchmark of many files."""

    folder: Annotated[Path, tyro.conf.arg(help="image folder; made where it does not exist")]
    out: Annotated[Path, tyro.conf.arg(help="folder of runs and parts")]
    files: Annotated[int, tyro.conf.arg(help="different files")] = 2000
    images: Annotated[int, tyro.conf.arg(help="names in train/")] = TRAIN
    val: Annotated[int, tyro.conf.arg(help="names in val/")] = VAL
    formats: Annotated[tuple[str, ...], tyro.conf.arg(help="of the memories")] = (
        "jpeg:original",
        "jpeg:quality=75",
    )
    memory_mb: Annotated[float, tyro.conf.arg(help="budget of the memories")] = 3010.56
    offers: Annotated[int, tyro.conf.arg(help="images offered to every memory")] = 5000
    tokenized: Annotated[int, tyro.conf.arg(help="images that are decoded and tokenized")] = 512
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


def make_files(folder: Path, count: int, bars: Progress) -> list[Path]:
    """Write different JPEGs of ImageNet's average size and length.

    Args:
        folder: gets the files.
        count: number of files.
        bars: gets a bar.
    """
    folder.mkdir(parents=True)
    bar = bars.add_task("making files", total=count)
    files = []
    for number in range(count):
        small, _ = render(1, 1, SIDE, number, "train")
        image = Image.fromarray(small[0].permute(1, 2, 0).numpy()).resize(SIZE)
        noise = np.random.default_rng(number).normal(0, NOISE, (SIZE[1], SIZE[0], 1))
        noisy = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
        files.append(folder / f"{number}.jpg")
        Image.fromarray(noisy).save(files[-1], quality=QUALITY)
        bars.advance(bar)
    return files


def link_files(root: Path, files: list[Path], options: Options, bars: Progress) -> None:
    """Give the files as many names as ImageNet has, by classes."""
    classes = imagenet_wnids()
    bar = bars.add_task("linking files", total=options.images + options.val)
    for split, count in (("train", options.images), ("val", options.val)):
        for label, wnid in enumerate(classes):
            (root / split / wnid).mkdir(parents=True)
            first, end = (count * place // len(classes) for place in (label, label + 1))
            for number in range(first, end):
                os.link(files[number % len(files)], root / split / wnid / f"{number}.jpg")
            bars.advance(bar, end - first)


def make_folder(options: Options) -> None:
    """Make the image folder, beside the folder of its files."""
    if (options.images + options.val) / options.files > LINKS:
        raise SystemExit(f"--files {options.files}: too few for {options.images} links")
    apart = options.folder.with_name(options.folder.name + ".files")
    with progress_bars(Console()) as bars:
        files = make_files(apart, options.files, bars)
        link_files(options.folder, files, options, bars)


def measure(options: Options, measured: Measured) -> None:
    """Measure all parts."""
    count = options.images + options.val
    with measured.step(f"list {count:,} files", count):
        dataset = list_data(options.folder)
    measure_parts(options, measured, dataset)
    measure_tokenizing(options, measured, dataset)
    for spec in options.formats:
        measure_offers(options, measured, dataset, spec)


def measure_parts(options: Options, measured: Measured, dataset: Dataset) -> None:
    """Measure what `tokenize encode` does before the first image and where nothing is left."""
    tokenizer = open_tokenizer("bundled")
    count = len(dataset.train) + len(dataset.val)
    folder = options.out / "parts"
    with measured.step("tokenize: cut into parts", count):
        parts = prepare_parts(folder, dataset, tokenizer, SIDE)
    with measured.step("tokenize: find the parts that are missing", count):
        for part in (*parts["train"], *parts["val"]):
            part.file.exists()


def measure_tokenizing(options: Options, measured: Measured, dataset: Dataset) -> None:
    """Measure decoding and tokenizing on one core."""
    torch.set_num_threads(1)
    tokenizer = open_tokenizer("bundled")
    count = options.tokenized
    images = dataset.train.images[:count]
    with measured.step(f"decode {count} images to {SIDE} px, one core", count):
        load_images(images, SIDE, threads=1)
    with measured.step(f"decode and tokenize {count} images, one core", count):
        encode_files(images, tokenizer, SIDE, threads=1)


def measure_offers(options: Options, measured: Measured, dataset: Dataset, spec: str) -> None:
    """Measure offers of images to a memory, from files that are not in main memory yet.

    A run with pixels checks all files once before its first step, which decodes them.
    """
    memory = ByteBudgetBuffer.of(
        spec,
        budget_bytes=round(1e6 * options.memory_mb),
        classes=len(dataset.classes),
        resolution=SIDE,
    )
    count = options.offers
    order = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(0))
    name = f"`{spec}`, {options.memory_mb:g} MB"
    with measured.step(f"{name}: {count:,} offers", count):
        for ids in order[:count].split(OFFER):
            images = [dataset.train.images[i] for i in ids.tolist()]
            labels = dataset.train.labels[ids]
            if spec == "jpeg:original":
                samples = Samples.of_files([image.read() for image in images], labels)
            else:
                samples = Samples.of_images(load_images(images, SIDE, threads=1), labels)
            memory.offer(samples)
    with measured.step(f"{name}: save ({len(memory):,} exemplars)"):
        memory.save(options.out / "memory.bin")
    (options.out / "memory.bin").unlink()


def main() -> None:
    """Run the benchmark."""
    options = tyro.cli(Options, prog="python -m benchmarks.scale_images", description=__doc__)
    limit_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.folder.exists():
        make_folder(options)
    measured = Measured()
    measure(options, measured)
    head = ["part", "seconds", "µs each", "main memory added, MB", "main memory, GB"]
    sections = [table(head, measured.rows)]
    title = "ImageNet's size, as files"
    publish(
        page(title, typed_command("benchmarks.scale_images"), torch.device("cpu"), sections),
        options.write,
    )


if __name__ == "__main__":
    run_command(main)
