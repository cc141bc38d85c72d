"""Coders of token grids beside one another: each one's probabilities in the same range coder, whatever it costs to make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seit_cl.formats.entropy import range_coder
from seit_cl.formats.entropy.model import EntropyModel, neighbours_of
from studies.entropy_limit.model import GridTransformer

AT_ONCE = 4096  # tokens
# Starts (B * H * W, K + 1) of all codes' intervals at every token of grids (B, H, W), as EntropyModel.network_starts gives them.
Starts = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Coded:
    """What grids take.

    Args:
        bits: of information, a token.
        record: mean bytes a record, without its length and label.
    """

    bits: float
    record: float


def coded(starts_of: Starts, grids: Tensor) -> Coded:
    """Grids (B, H, W) as records of their own."""
    starts, widths = [], []
    for part in grids.split(max(1, AT_ONCE // grids[0].numel())):
        edges, tokens = starts_of(part), part.reshape(-1, 1).long()
        low, high = edges.gather(1, tokens), edges.gather(1, tokens + 1)
        starts.append(low.view(len(part), -1).long())
        widths.append((high - low).view(len(part), -1).long())
    start, width = torch.cat(starts), torch.cat(widths)
    lengths = range_coder.encode(start, width).lengths
    return Coded(
        float((range_coder.BITS - width.double().log2()).mean()), float(lengths.double().mean())
    )


def edges_of(probabilities: Tensor) -> Tensor:
    """Starts (N, K + 1) int64 of intervals as wide as probabilities (N, K), at least 1."""
    codes = probabilities.shape[1]
    widths = 1 + (probabilities.double() * (range_coder.TOTAL - codes)).floor().long()
    return torch.nn.functional.pad(widths.cumsum(1), (1, 0))


def order0(grids: Tensor, codes: int) -> Starts:
    """Codes by their frequencies in these grids."""
    counts = torch.bincount(grids.flatten().long(), minlength=codes).double()
    edges = edges_of((counts / counts.sum())[None])
    return lambda part: edges.expand(part.numel(), -1)


def tables(model: EntropyModel) -> Starts:
    """The shipped `table`."""

    def starts(part: Tensor) -> Tensor:
        near = neighbours_of(part, model.codes).flatten(0, 2)
        return model.table_starts[model.table_context(near[:, 0], near[:, 1])]

    return starts


def network(model: EntropyModel) -> Starts:
    """The shipped `context`."""
    return lambda part: model.network_starts(neighbours_of(part, model.codes).flatten(0, 2))


def transformer(model: GridTransformer) -> Starts:
    """The transformer, in float32."""

    def starts(part: Tensor) -> Tensor:
        with torch.no_grad():
            return edges_of(model(part).flatten(0, 1).softmax(1))

    return starts


def rivals(model: GridTransformer, shipped: EntropyModel, grids: Tensor) -> dict[str, Coded]:
    """What every coder makes of grids (B, H, W), order-0 with their own frequencies."""
    coders = {
        "order-0": order0(grids, shipped.codes),
        "table": tables(shipped),
        "context": network(shipped),
        "transformer": transformer(model),
    }
    return {name: coded(starts_of, grids) for name, starts_of in coders.items()}
