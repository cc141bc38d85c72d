"""ImageNet's size: a token file of 1.28 million images, opened, cut, offered to memories, replayed.

The images are token grids of the built-in fractals at 256 px, each shifted at random, under the
names of the 1,000 classes of ImageNet. Main memory is that of the process beside the pages of
files, which the system may drop (RssAnon of Linux).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.devices import limit_threads
from seit_cl.core.progress import progress_bars
from seit_cl.data.fractals import render
from seit_cl.data.listed_classes import imagenet_wnids
from seit_cl.data.samples import Samples
from seit_cl.data.token_file import TokenSplit, write_token_file
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.reporting.markdown import page, publish, table, typed_command
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.base import describe_tokens

TRAIN = 1_281_167  # images of ILSVRC 2012 (Russakovsky et al., IJCV 2015)
VAL = 50_000
SIDE = 256  # pixels
POOL = 512  # fractals whose grids the images are shifts of
BLOCK = 4096  # images made together
OFFER = 512  # samples offered at a time, as in a run
BATCH = 256  # samples of a batch that is drawn from the file
CLASSES = 1000
RAW_SIDE = 64  # pixels of raw images, which fill a memory soonest
REPLAYED = 20  # batches of exemplars that are drawn
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Options:
    """Options of the benchmark of scale."""

    file: Annotated[Path, tyro.conf.arg(help="token file; made where it does not exist")]
    out: Annotated[Path, tyro.conf.arg(help="folder of runs and memories, which are deleted")]
    images: Annotated[int, tyro.conf.arg(help="train images of the file, if it is made")] = TRAIN
    val: Annotated[int, tyro.conf.arg(help="val images of the file, if it is made")] = VAL
    formats: Annotated[tuple[str, ...], tyro.conf.arg(help="of the memories")] = (
        "tokens",
        "tokens:coder=table",
    )
    memory_mb: Annotated[tuple[float, ...], tyro.conf.arg(help="budgets of the memories")] = (
        500.0,
        3010.56,
    )
    offers: Annotated[int, tyro.conf.arg(help="samples offered to every memory")] = 1_000_000
    batches: Annotated[int, tyro.conf.arg(help="random batches drawn from the file")] = 1000
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


@dataclass
class Measured:
    """Rows of the page: what was done, its seconds, and the main memory after it in bytes."""

    rows: list[list[str]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, count: int = 0) -> Iterator[None]:
        """Measure a block.

        Args:
            name: of the row.
            count: of what it does, for the time of each; 0: none.
        """
        before = own_memory()
        began = time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        each = f"{1e6 * seconds / count:,.1f}" if count else ""
        added = (own_memory() - before) / 1e6
        row = [name, f"{seconds:,.2f}", each, f"{added:,.0f}", f"{own_memory() / 1e9:.2f}"]
        self.rows.append(row)
        print(*row, sep="; ", flush=True)


def own_memory() -> int:
    """Bytes of main memory of this process beside the pages of files; Linux alone."""
    found = re.search(r"RssAnon:\s+(\d+) kB", STATUS.read_text())
    return 1024 * int(found[1]) if found else 0


def shifted(pool: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw grids of a pool, each shifted by a random number of rows and columns.

    Args:
        pool: (P, G, H, W) int16.
        count: n.
        generator: of the draws.

    Returns:
        (n, G, H, W) int16.
    """
    _, groups, height, width = pool.shape
    which = torch.randint(len(pool), (count, 1, 1, 1), generator=generator)
    rows = torch.arange(height) + torch.randint(height, (count, 1), generator=generator)
    columns = torch.arange(width) + torch.randint(width, (count, 1), generator=generator)
    places = (rows % height)[:, None, :, None], (columns % width)[:, None, None, :]
    return pool[which, torch.arange(groups)[None, :, None, None], *places]


def make_pool() -> Tensor:
    """Token grids (POOL, G, H, W) int16 of fractals at 256 px."""
    tokenizer = open_tokenizer("bundled")
    grids = []
    for start in range(0, POOL, 32):
        images, _ = render(32, 1, SIDE, start, "train")
        grids.append(tokenizer.encode(images))
    return torch.cat(grids)


def make_file(options: Options, bars: Progress) -> None:
    """Write the token file."""
    tokenizer = open_tokenizer("bundled")
    pool = make_pool()
    classes = imagenet_wnids()
    bar = bars.add_task("making the token file", total=options.images + options.val)

    def blocks(count: int, seed: int) -> Iterator[Tensor]:
        """Blocks (n, G, H, W) int16 of shifted grids, of as many images in all."""
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, count, BLOCK):
            made = shifted(pool, min(BLOCK, count - start), generator)
            bars.advance(bar, len(made))
            yield made

    notes = {"images": "shifted token grids of fractals, for a benchmark of size"}
    metadata = describe_tokens(tokenizer, "imagenet-sized", classes, notes)
    splits = {}
    for seed, (name, count) in enumerate((("train", options.images), ("val", options.val))):
        labels = torch.arange(count) * len(classes) // count
        splits[name] = TokenSplit(labels, blocks(count, seed))
    _, groups, height, width = pool.shape
    write_token_file(options.file, metadata, (groups, height, width), splits)


def fill(memory: ByteBudgetBuffer, data: RunData, labels: Tensor, count: int) -> None:
    """Offer the first samples of the file in order."""
    for ids in torch.arange(min(count, len(labels))).split(OFFER):
        memory.offer(Samples(ids, labels[ids], data))


def measure(options: Options, measured: Measured) -> None:
    """Measure all parts but the making of the file."""
    config = RunConfig(
        data_root=options.file, scenario="imagenet1k", experiences=10, model="small", device="cpu"
    )
    with measured.step("open the token file, list the data"):
        data = RunData(config)
    labels = data.dataset.train.labels
    with measured.step("cut the stream and build the run"):
        Experiment(config, data, options.out / "run")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    drawn = order[: options.batches * BATCH].split(BATCH)
    with measured.step(f"{len(drawn)} random batches of {BATCH}, first use", len(drawn) * BATCH):
        for ids in drawn:
            data.tokens(ids)
    with measured.step(f"{len(drawn)} random batches of {BATCH}, again", len(drawn) * BATCH):
        for ids in drawn:
            data.tokens(ids)
    for spec in options.formats:
        for budget in options.memory_mb:
            measure_memory(options, measured, data, spec, budget)


def measure_memory(
    options: Options, measured: Measured, data: RunData, spec: str, budget: float
) -> None:
    """Measure offers to a memory, its file, and reading it back."""
    config = RunConfig(
        data_root=options.file,
        scenario="imagenet1k",
        experiences=10,
        format=spec,
        memory_mb=budget,
        device="cpu",
    )
    name = f"`{spec}`, {budget:g} MB"
    experiment = Experiment(config, data, options.out / "run")
    memory = experiment.memory
    assert memory is not None
    count = min(options.offers, len(experiment.labels))
    with measured.step(f"{name}: {count:,} offers", count):
        fill(memory, data, experiment.labels, count)
    exemplars = f"{len(memory):,} exemplars, {memory.used_bytes / 1e6:,.0f} MB"
    path = options.out / "memory.bin"
    with measured.step(f"{name}: save ({exemplars})"):
        memory.save(path)
    rows = torch.randint(len(memory), (REPLAYED, BATCH), generator=torch.Generator().manual_seed(0))
    with measured.step(f"{name}: {REPLAYED} batches of {BATCH} exemplars", REPLAYED * BATCH):
        for ids in rows:
            memory.by_ids(ids)
    del experiment, memory
    with measured.step(f"{name}: load"):
        ByteBudgetBuffer.load(path)
    path.unlink()


def measure_commit(options: Options, measured: Measured, budget: float) -> None:
    """Measure the file of a memory that fills its budget in MB: raw images of noise."""
    memory = ByteBudgetBuffer.of(
        "raw", budget_bytes=round(1e6 * budget), classes=CLASSES, resolution=RAW_SIDE
    )
    generator = torch.Generator().manual_seed(0)
    shape = (OFFER, 3, RAW_SIDE, RAW_SIDE)
    count = round(1e6 * budget) // (3 * RAW_SIDE**2)
    name = f"`raw` of {RAW_SIDE} px, {budget:g} MB"
    with measured.step(f"{name}: {count:,} offers", count):
        for ids in torch.arange(count).split(OFFER):
            images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
            memory.offer(Samples.of_images(images[: len(ids)], ids % CLASSES))
    path = options.out / "memory.bin"
    with measured.step(f"{name}: save ({len(memory):,} exemplars)"):
        memory.save(path)
    path.unlink()


def main() -> None:
    """Run the benchmark."""
    options = tyro.cli(Options, prog="python -m benchmarks.scale", description=__doc__)
    limit_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    measured = Measured()
    if not options.file.exists():
        with progress_bars(Console()) as bars, measured.step("make the token file", options.images):
            make_file(options, bars)
    measure(options, measured)
    measure_commit(options, measured, max(options.memory_mb))
    head = ["part", "seconds", "µs each", "main memory added, MB", "main memory, GB"]
    sections = [table(head, measured.rows)]
    publish(
        page("ImageNet's size", typed_command("benchmarks.scale"), torch.device("cpu"), sections),
        options.write,
    )


if __name__ == "__main__":
    run_command(main)
