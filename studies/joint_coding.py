"""Bits that joint coding of a memory's exemplars could save, counted as ideal code lengths.

Exemplars that are read together may be coded together. Two things could then save bits. The order
of n exemplars need not be stored, which is worth log2(n!) bits. And the probability of a code may
be adapted to the exemplars before it, of the whole memory or of the same class, as in adaptive
arithmetic coding: after counts c of N codes, a code has probability (c + w p) / (N + w), where p
is its probability without them and w a weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor

from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.core.machine import torch_threads
from seit_cl.datasets import list_data
from seit_cl.formats.entropy.columns import neighbours_of
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.formats.entropy.range_coder import TOTAL
from seit_cl.reporting.markdown import page, publish, table, typed_command
from seit_cl.tokenizers import DEFAULT_TOKENIZER, open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers.training.entropy import encode_grids

# Weights w of the probabilities without counts, in codes; the best one is taken afterwards.
WEIGHTS = (100.0, 1e3, 1e4, 1e5, 1e6, 1e7)
GRIDS_AT_ONCE = 100


@dataclass(frozen=True)
class Options:
    """Options of the study."""

    data_root: Annotated[Path, hint("image folder whose training images are the exemplars")]
    fitted: Annotated[Path, hint("image folder of other classes, whose codes give frequencies")]
    exemplars: Annotated[tuple[int, ...], hint("exemplars of each class")] = (12, 30, 75)
    resolution: Annotated[int, hint("side in pixels")] = 64
    write: Annotated[Path | None, hint("Markdown file to write")] = None


def probabilities(model: EntropyModel, frequencies: Tensor, grids: Tensor) -> dict[str, Tensor]:
    """Probability that every coder gives to every code of grids, (N, H * W) each, by name.

    Args:
        model: of the tokenizer, with a compact network.
        frequencies: (K,) of codes in other images.
        grids: (N, H, W).
    """
    own: dict[str, list[Tensor]] = {}
    for part in grids.long().split(GRIDS_AT_ONCE):
        near = neighbours_of(part, model.codes).flatten(0, 2)
        codes = part.reshape(-1, 1)
        starts = {
            "table": model.table_starts[model.table_context(near[:, 0], near[:, 1])],
            "context": model.network.starts(near),
        }
        for model_of_code in model.compact_parts[:1]:
            starts["compact"] = model_of_code.network.starts(near)
        found = {
            "fixed": torch.full(codes.shape, 1 / model.codes, dtype=torch.float64),
            "order-0": frequencies[codes],
        }
        for name, bounds in starts.items():
            widths = bounds.gather(1, codes + 1) - bounds.gather(1, codes)
            found[name] = widths.double() / TOTAL
        for name, values in found.items():
            own.setdefault(name, []).append(values.view(len(part), -1))
    return {name: torch.cat(parts) for name, parts in own.items()}


def adapted_bits(
    alone: Tensor, codes: Tensor, groups: Sequence[int], weights: Sequence[float], size: int
) -> Tensor:
    """Mean bits of a code, adapted to exemplars of its group before it, for every weight (W,).

    Args:
        alone: (N, T) float64, probabilities without counts.
        codes: (N, T) int64, below `size`.
        groups: of each exemplar, 0..C-1.
        weights: W numbers of codes.
        size: K.
    """
    weight = torch.tensor(weights, dtype=torch.float64)[:, None]
    counts = torch.zeros((max(groups) + 1, size), dtype=torch.float64)
    bits = torch.zeros(len(weights), dtype=torch.float64)
    for probability, own, group in zip(alone, codes, groups, strict=True):
        seen = counts[group][own]
        adapted = (seen + weight * probability) / (counts[group].sum() + weight)
        bits -= adapted.log2().sum(1)
        counts[group] += torch.bincount(own, minlength=size)
    return bits / codes.numel()


def order_bits(exemplars: int) -> float:
    """Bits an exemplar that its place among `exemplars` takes: log2(n!) / n."""
    return math.lgamma(exemplars + 1) / math.log(2) / exemplars


def first_of_each(labels: Sequence[int], count: int) -> list[int]:
    """Indices of the first `count` samples of every class, one of each class after another."""
    rounds: dict[int, list[int]] = {}
    seen: dict[int, int] = {}
    for index, label in enumerate(labels):
        number = seen.get(label, 0)
        seen[label] = number + 1
        rounds.setdefault(number, []).append(index)
    chosen: list[int] = []
    for number in range(count):
        chosen += rounds.get(number, [])
    return chosen


def measure(options: Options) -> list[list[str]]:
    """Rows of the table, one for every coder and number of exemplars.

    Raises:
        UserError: a folder without images, or a side that the stride does not divide.
    """
    tokenizer = open_tokenizer(DEFAULT_TOKENIZER)
    check_resolution(options.resolution, tokenizer.stride)
    memory = list_data(options.data_root).train
    fitted = list_data(options.fitted).train
    size = tokenizer.codebook.shape[1]
    all_labels = [int(label) for label in memory.labels]
    with torch_threads(1):
        counted = encode_grids(tokenizer, fitted.images, options.resolution).flatten().long()
        grids = encode_grids(tokenizer, memory.images, options.resolution)[:, 0]
        counts = torch.bincount(counted, minlength=size).double() + 0.5
        found = probabilities(tokenizer.entropy_model(), counts / counts.sum(), grids)
    rows = []
    for name, alone in found.items():
        for count in options.exemplars:
            chosen = first_of_each(all_labels, count)
            codes = grids[chosen].flatten(1).long()
            labels = [all_labels[index] for index in chosen]
            rows.append([name, *_row(alone[chosen], codes, labels, size)])
    return rows


def _row(alone: Tensor, codes: Tensor, labels: Sequence[int], size: int) -> list[str]:
    """Cells of a coder: exemplars; bits a code; what adapting and order change, in bytes."""
    bits = float(-alone.log2().mean())
    tokens = codes.shape[1]
    cells = [f"{len(codes):,}", f"{bits:.3f}", f"{bits * tokens / 8:.1f}"]
    for groups in ([0] * len(codes), labels):
        best = float(adapted_bits(alone, codes, groups, WEIGHTS, size).min())
        cells.append(f"{(best - bits) * tokens / 8:+.2f}")
    return [*cells, f"{-order_bits(len(codes)) / 8:+.2f}"]


def main() -> None:
    """Measure, print the page, and write it if asked to."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.joint_coding", description=__doc__)
    )
    head = [
        "coder",
        "exemplars",
        "bits a code",
        "bytes an exemplar",
        "adapted to the memory",
        "adapted to the class",
        "without order",
    ]
    sections = [table(head, measure(options))]
    title = "Joint coding of exemplars"
    command = typed_command("studies.joint_coding")
    publish(page(title, command, torch.device("cpu"), sections), options.write)


if __name__ == "__main__":
    main()
