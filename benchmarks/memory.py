"""What an offered sample costs a memory of many records of unequal length, and whether who stays depends on length."""

from __future__ import annotations

import time
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
from seit_cl.memory import POLICIES, ByteBudgetBuffer
from seit_cl.reporting.markdown import page, publish, table, typed_command

CLASSES = 100
SHORTEST, LONGEST = (
    20,
    120,
)  # bytes of a record, uniform between; about what entropy-coded 8 x 8 tokens take
PIECE = 10_000  # samples timed together
OFFER = 500  # samples offered at once, as a run does
HALF = (SHORTEST + LONGEST) // 2


@dataclass(frozen=True)
class Options:
    """Options of the memory benchmark."""

    exemplars: Annotated[int, tyro.conf.arg(help="records that the memory holds")] = 1_000_000
    turnovers: Annotated[
        float,
        tyro.conf.arg(help="streams offered to the full memory, in multiples of its exemplars"),
    ] = 1.0
    repeats: Annotated[
        int, tyro.conf.arg(help="streams that the statistics of who stays are taken over")
    ] = 200
    write: Annotated[Path | None, tyro.conf.arg(help="file to write the page into")] = None


class Ready:
    """A format whose records are ready, so that the memory's own work is all that takes time. A sample's id says its length."""

    domain = "tokens"
    spec = "ready"
    fixed_length = None
    side_info, codec_bytes = b"", 0

    def __init__(self) -> None:
        self.lengths = torch.randint(
            SHORTEST, LONGEST + 1, (1 << 16,), generator=torch.Generator().manual_seed(0)
        )
        self.data = torch.zeros(LONGEST * OFFER, dtype=torch.uint8)

    def length(self, ids: Tensor) -> Tensor:
        """Bytes (B,) of the records of ids."""
        return self.lengths[ids % len(self.lengths)]

    def encode(self, samples: Samples) -> Records:
        """Records without content."""
        lengths = self.length(samples.ids)
        return Records(self.data, lengths.cumsum(0) - lengths, lengths)

    def decode(self, records: Records) -> Tensor:
        """Never asked for."""
        raise NotImplementedError


def empty(
    fmt: Ready, exemplars: int, policy: str, classes: int = CLASSES, seed: int = 0
) -> ByteBudgetBuffer:
    """A memory with room for about so many exemplars."""
    context = FormatContext(64, classes, 1024, (1, 8, 8), "none")
    label_and_length = 2
    made: Any = fmt
    return ByteBudgetBuffer(
        exemplars * (HALF + label_and_length) + 4000, made, context, policy, seed
    )


def offer(memory: ByteBudgetBuffer, start: int, count: int, classes: int = CLASSES) -> None:
    """Samples start..start+count of a stream that brings class after class, as class-incremental ones do, for ever."""
    source: Any = None
    for ids in torch.arange(start, start + count).split(OFFER):
        memory.offer(Samples(ids, ids // 1000 % classes, source))


def cost(options: Options, policy: str) -> tuple[Spread, Spread, int]:
    """Microseconds of this process's own time a sample while the memory fills and once it is full, and its exemplars."""
    fmt = Ready()
    memory = empty(fmt, options.exemplars, policy)
    spent: dict[bool, list[float]] = {False: [], True: []}
    start, end = 0, int(options.exemplars * (1 + options.turnovers))
    while start < end:
        full, began = memory.full, time.process_time()
        offer(memory, start, PIECE)
        spent[full].append((time.process_time() - began) / PIECE * 1e6)
        start += PIECE
    first = spent[False][: max(1, len(spent[False]) // 10)]
    return Spread.of(first), Spread.of(spent[True] or spent[False]), len(memory)


def staying(repeats: int, policy: str) -> tuple[float, float, float]:
    """Of samples offered to a full memory of one class: the fraction that is there at the end of those with short and of those
    with long records, and the standard error of the difference."""
    fmt, stream, room = Ready(), 4000, 400
    ids = torch.arange(room, stream)  # after the memory was full for the first time
    short = fmt.length(ids) < HALF
    rates = np.zeros((repeats, 2))
    for seed in range(repeats):
        memory = empty(fmt, room, policy, classes=1, seed=seed)
        marks = _stayed(memory, stream)
        kept = torch.isin(ids, marks)
        rates[seed] = float(kept[short].double().mean()), float(kept[~short].double().mean())
    gap = rates[:, 0] - rates[:, 1]
    return (
        float(rates[:, 0].mean()),
        float(rates[:, 1].mean()),
        float(gap.std(ddof=1) / np.sqrt(repeats)),
    )


def _stayed(memory: ByteBudgetBuffer, stream: int) -> Tensor:
    """The ids of a stream's samples that a memory keeps, told by what its arena stores and removes."""
    kept: list[int] = []
    current = 0
    append, remove = memory._arena.append, memory._arena.remove

    def appended(*arguments: Any) -> int:
        kept.append(current)
        return append(*arguments)

    def removed(slot: int) -> None:
        kept[slot] = kept[-1]
        kept.pop()
        remove(slot)

    memory._arena.append, memory._selection.evict = appended, removed  # type: ignore[method-assign]
    source: Any = None
    for current in range(stream):
        memory.offer(Samples(torch.tensor([current]), torch.tensor([0]), source))
    return torch.tensor(kept)


def report(options: Options, typed: str) -> str:
    """The page, in Markdown."""
    costs, stays = [], []
    for policy in POLICIES:
        first, full, held = cost(options, policy)
        costs.append(
            [policy, f"{held:,}", first.text(2), full.text(2), f"{full.median / first.median:.2f}"]
        )
        if policy != "herding":
            short, long, error = staying(options.repeats, policy)
            stays.append(
                [policy, f"{short:.4f}", f"{long:.4f}", f"{short - long:+.4f} ± {1.96 * error:.4f}"]
            )
    about = (
        f"Records of {SHORTEST} to {LONGEST} bytes, ready made; {CLASSES} classes, a thousand samples of each in turn, for ever. "
        "Microseconds of the process's own time a sample, median (10th to 90th percentile) over pieces of ten thousand: while "
        "the first tenth of an empty memory fills, and once it is full, over "
        f"{options.turnovers:g} times as many samples as it holds."
    )
    fair = (
        f"Who stays: one class, 4,000 samples, room for about 400; over {options.repeats} seeds, the fraction of the samples "
        f"after the first 400 that is there at the end, of those with records below {HALF} bytes and of the others, with 95 % "
        "intervals. Herding chooses by rank, never by length or chance."
    )
    heads = (
        ["policy", "exemplars", "filling, µs", "full, µs", "ratio"],
        ["policy", "short", "long", "difference"],
    )
    return page(
        "Memory",
        typed,
        torch.device("cpu"),
        [about, table(heads[0], costs), fair, table(heads[1], stays)],
    )


def main() -> None:
    """Measure, print, and write where asked."""
    options = tyro.cli(Options, description=__doc__)
    publish(report(options, typed_command("benchmarks.memory")), options.write)


if __name__ == "__main__":
    run_command(main)
