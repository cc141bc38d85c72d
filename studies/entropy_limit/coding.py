"""Coders of token grids compared: the probabilities of each go through the same range coder.

Symbols: B batch, H x W grid, K codes, N tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seit_cl.formats.entropy import range_coder
from seit_cl.formats.entropy.columns import neighbours_of
from seit_cl.formats.entropy.model import EntropyModel
from studies.entropy_limit.model import GridTransformer

CHUNK_TOKENS = 4096  # coded at a time
# Function from grids (B, H, W) to the bounds (B * H * W, K + 1) of all codes' intervals at every
# token, as CodeNetwork.starts returns them.
Starts = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Coded:
    """Size of coded grids.

    Args:
        bits: of information per token.
        record: mean bytes per record, without its length and label.
    """

    bits: float
    record: float


def coded(starts_of: Starts, grids: Tensor) -> Coded:
    """Code grids (B, H, W), each as a record of its own."""
    starts = []
    widths = []
    for part in grids.split(max(1, CHUNK_TOKENS // grids[0].numel())):
        bounds = starts_of(part)
        tokens = part.reshape(-1, 1).long()
        low = bounds.gather(1, tokens)
        high = bounds.gather(1, tokens + 1)
        starts.append(low.view(len(part), -1).long())
        widths.append((high - low).view(len(part), -1).long())
    width = torch.cat(widths)
    lengths = range_coder.encode(torch.cat(starts), width).lengths
    bits = (range_coder.BITS - width.double().log2()).mean()
    return Coded(float(bits), float(lengths.double().mean()))


def bounds_of(probabilities: Tensor) -> Tensor:
    """Bounds (N, K + 1) int64 of intervals, at least 1 wide, for probabilities (N, K)."""
    codes = probabilities.shape[1]
    widths = 1 + (probabilities.double() * (range_coder.TOTAL - codes)).floor().long()
    return torch.nn.functional.pad(widths.cumsum(1), (1, 0))


def order0(grids: Tensor, codes: int) -> Starts:
    """Coder that uses the frequencies of the codes in grids (B, H, W) of K codes."""
    counts = torch.bincount(grids.flatten().long(), minlength=codes).double()
    bounds = bounds_of((counts / counts.sum())[None])
    return lambda part: bounds.expand(part.numel(), -1)


def tables(model: EntropyModel) -> Starts:
    """The shipped coder `table`."""

    def starts(part: Tensor) -> Tensor:
        neighbours = neighbours_of(part, model.codes).flatten(0, 2)
        return model.table_starts[model.table_context(neighbours[:, 0], neighbours[:, 1])]

    return starts


def network(model: EntropyModel) -> Starts:
    """The shipped coder `context`."""
    return lambda part: model.network.starts(neighbours_of(part, model.codes).flatten(0, 2))


def transformer(model: GridTransformer) -> Starts:
    """The coder of the transformer, in float32."""

    def starts(part: Tensor) -> Tensor:
        with torch.no_grad():
            return bounds_of(model(part).flatten(0, 1).softmax(1))

    return starts


def rivals(model: GridTransformer, shipped: EntropyModel, grids: Tensor) -> dict[str, Coded]:
    """Code grids (B, H, W) by every coder; order-0 uses the frequencies of these grids."""
    coders = {
        "order-0": order0(grids, shipped.codes),
        "table": tables(shipped),
        "context": network(shipped),
        "transformer": transformer(model),
    }
    return {name: coded(starts_of, grids) for name, starts_of in coders.items()}
