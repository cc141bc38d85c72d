"""Cost of offering a sample to a memory of many records, and the fairness of its selection.

The first part measures the time per sample while a memory fills and once it is full. The second
part measures if the chance of a sample to stay depends on the length of its record.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from torch import Tensor

from benchmarks.measure import Spread
from seit_cl.core.cli import run_command
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext
from seit_cl.formats._records import Records
from seit_cl.memory import ByteBudgetBuffer, TensorSpec, policy_names
from seit_cl.reporting.markdown import page, publish, table, typed_command

CLASSES = 100
SHORTEST = 20  # bytes of a record, uniform up to LONGEST: about those of entropy-coded 8 x 8 tokens
LONGEST = 120
HALF = (SHORTEST + LONGEST) // 2
LABEL_AND_LENGTH = 2  # bytes of an exemplar beside its record and its fields
PIECE = 10_000  # samples timed together
OFFER = 500  # samples offered at a time, as in a run
STREAM = 4000  # samples offered to a memory when selection is examined
ROOM = 400  # exemplars that such a memory stores
STREAM_CLASSES = (
    1,
    40,
    80,
)  # classes of the streams, one after the other: 400, 10, 5 exemplars each
SAMPLE_ID = {"id": TensorSpec("int32", ())}  # field by which stored samples are recognised
NO_SOURCE: Any = None  # the format below reads nothing but ids


@dataclass(frozen=True)
class Options:
    """Options of the memory benchmark."""

    exemplars: Annotated[
        int, tyro.conf.arg(help="records that the memory holds; 0: measure selection alone")
    ] = 1_000_000
    turnovers: Annotated[
        float,
        tyro.conf.arg(help="samples offered to the full memory, in multiples of its exemplars"),
    ] = 1.0
    repeats: Annotated[
        int, tyro.conf.arg(help="streams from which the selection statistics are computed")
    ] = 200
    write: Annotated[Path | None, tyro.conf.arg(help="file to write the page to")] = None


class ReadyFormat:
    """A format whose records exist already, so that only the memory's own work takes time.

    The id of a sample determines the length of its record.
    """

    domain = "tokens"
    spec = "ready"
    fixed_length = None
    side_info = b""
    codec_bytes = 0

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.lengths = torch.randint(SHORTEST, LONGEST + 1, (1 << 16,), generator=generator)
        self.data = torch.zeros(LONGEST * OFFER, dtype=torch.uint8)

    def length(self, ids: Tensor) -> Tensor:
        """Return the bytes (B,) of the records of ids (B,)."""
        return self.lengths[ids % len(self.lengths)]

    def encode(self, samples: Samples) -> Records:
        """Return records without content."""
        lengths = self.length(samples.ids)
        return Records(self.data, lengths.cumsum(0) - lengths, lengths)

    def decode(self, records: Records) -> Tensor:
        """Return inputs without content."""
        return torch.zeros(len(records), 1, 1, 1, dtype=torch.int16)


def empty_memory(
    fmt: ReadyFormat,
    exemplars: int,
    policy: str,
    classes: int = CLASSES,
    seed: int = 0,
    fields: Mapping[str, TensorSpec] | None = None,
) -> ByteBudgetBuffer:
    """Build a memory for about `exemplars` exemplars."""
    context = FormatContext(64, classes, 1024, (1, 8, 8), "none")
    fields = fields or {}
    each = HALF + LABEL_AND_LENGTH + sum(spec.nbytes for spec in fields.values())
    any_format: Any = fmt
    budget = exemplars * each + 4000
    return ByteBudgetBuffer(budget, any_format, context, policy, seed, fields)


def offer(memory: ByteBudgetBuffer, start: int, count: int, classes: int = CLASSES) -> None:
    """Offer samples start..start+count-1 of an endless stream that brings class after class."""
    for ids in torch.arange(start, start + count).split(OFFER):
        memory.offer(Samples(ids, ids // 1000 % classes, NO_SOURCE))


def cost(options: Options, policy: str) -> tuple[Spread, Spread, int]:
    """Measure the time per sample in microseconds of this process's CPU time.

    Returns:
        The time while the first tenth of the memory fills, the time once it is full, and the number
        of exemplars.
    """
    memory = empty_memory(ReadyFormat(), options.exemplars, policy)
    filling: list[float] = []
    full: list[float] = []
    for start in range(0, int(options.exemplars * (1 + options.turnovers)), PIECE):
        times = full if memory.full else filling
        began = time.process_time()
        offer(memory, start, PIECE)
        times.append((time.process_time() - began) / PIECE * 1e6)
    first = filling[: max(1, len(filling) // 10)]
    return Spread.of(first), Spread.of(full or filling), len(memory)


def stored_ids(memory: ByteBudgetBuffer, labels: Tensor) -> Tensor:
    """Offer samples 0..N-1 with labels (N,), and return the ids of those stored at the end.

    Args:
        memory: empty, with the fields SAMPLE_ID.
        labels: (N,) int64.
    """
    for ids in torch.arange(len(labels)).split(OFFER):
        memory.offer(Samples(ids, labels[ids], NO_SOURCE), {"id": ids})
    return memory.by_ids(torch.arange(len(memory))).extras["id"].long()


def staying(repeats: int, policy: str, classes: int) -> tuple[float, float, float]:
    """Measure the chance to stay of samples that are offered to a full memory.

    Rates are taken within classes and then averaged: a class of short records gets more exemplars
    where bytes are balanced, as it should.

    Args:
        repeats: number of seeds.
        policy: its spec.
        classes: of the stream, one after the other.

    Returns:
        The fraction stored at the end of samples with short records, that of samples with long
        records, and the standard error of the difference.
    """
    fmt = ReadyFormat()
    ids = torch.arange(STREAM)
    labels = ids * classes // STREAM
    late = ids >= ROOM  # offered after the memory was full
    groups = (labels[late] * 2 + (fmt.length(ids[late]) >= HALF)).numpy()
    samples = np.bincount(groups, minlength=2 * classes).reshape(classes, 2)
    has_both = samples.min(1) > 0
    rates = np.zeros((repeats, 2))
    for seed in range(repeats):
        memory = empty_memory(fmt, ROOM, policy, classes, seed, SAMPLE_ID)
        stored = torch.isin(ids, stored_ids(memory, labels))[late].numpy()
        counts = np.bincount(groups, stored, 2 * classes).reshape(classes, 2)
        rates[seed] = (counts[has_both] / samples[has_both]).mean(0)
    differences = rates[:, 0] - rates[:, 1]
    error = float(differences.std(ddof=1) / np.sqrt(repeats))
    return float(rates[:, 0].mean()), float(rates[:, 1].mean()), error


def cost_table(options: Options) -> str:
    """Measure the cost of every policy, as a table."""
    rows = []
    for policy in policy_names():
        first, full, exemplars = cost(options, policy)
        ratio = f"{full.median / first.median:.2f}"
        rows.append([policy, f"{exemplars:,}", first.text(2), full.text(2), ratio])
    return table(["policy", "exemplars", "filling, µs", "full, µs", "ratio"], rows)


def staying_table(options: Options) -> str:
    """Measure the fairness of every policy that does not select by rank, as a table."""
    rows = []
    for classes, policy in itertools.product(STREAM_CLASSES, policy_names()):
        if empty_memory(ReadyFormat(), ROOM, policy).selection.best_first:
            continue
        short, long, error = staying(options.repeats, policy, classes)
        difference = f"{short - long:+.4f} ± {1.96 * error:.4f}"
        rows.append([str(classes), policy, f"{short:.4f}", f"{long:.4f}", difference])
    return table(["classes", "policy", "short", "long", "difference"], rows)


def report(options: Options, typed: str) -> str:
    """Measure, and return the page in Markdown."""
    about_cost = (
        f"Records of {SHORTEST} to {LONGEST} bytes that exist already; {CLASSES} classes, a "
        "thousand samples of each in turn, in an endless stream. Microseconds of the process's own "
        "time per sample, median (10th to 90th percentile) over pieces of ten thousand: while the "
        "first tenth of an empty memory fills, and once it is full, over "
        f"{options.turnovers:g} times as many samples as it holds."
    )
    about_staying = (
        f"Selection: {STREAM:,} samples of one class, or of several classes one after the other; "
        f"room for about {ROOM} records of {SHORTEST} to {LONGEST} bytes. Over {options.repeats} "
        f"seeds, the fraction of the samples after the first {ROOM} that is stored at the end, of "
        f"those with records below {HALF} bytes and of the others, with 95 % intervals; within "
        "each class, then averaged. Herding selects by rank, never by length or chance."
    )
    sections = [about_cost, cost_table(options)] if options.exemplars else []
    sections += [about_staying, staying_table(options)]
    return page("Memory", typed, torch.device("cpu"), sections)


def main() -> None:
    """Measure, print, and write the page if asked to."""
    options = tyro.cli(Options, description=__doc__)
    publish(report(options, typed_command("benchmarks.memory")), options.write)


if __name__ == "__main__":
    run_command(main)
