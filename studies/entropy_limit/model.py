"""A causal transformer that predicts each token of a grid from all tokens before it.

Symbols: B batch, P positions, K codes, H x W grid, D code dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.formats.entropy.columns import NEIGHBOURS, neighbours_of
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.formats.entropy.network import ACTIVATION_BITS, HIDDEN_SHIFT, SCORE_BITS

LONG = 256  # positions beyond which torch's fused attention is faster on a CPU


@dataclass(frozen=True)
class Size:
    """Size of a network.

    Args:
        width: features of a position.
        layers: transformer blocks.
        heads: attention heads of a block.
        embedding: dimensions of the embedding of a token.
        dropout: probability of dropping a unit.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    embedding: int = 64
    dropout: float = 0.05


class Block(nn.Module):
    """Causal attention and an MLP, each after a layer norm (GPT-2: Radford et al., 2019).

    Args:
        size: see Size.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        width = size.width
        self.heads = size.heads
        self.dropout = nn.Dropout(size.dropout)
        self.first_norm = nn.LayerNorm(width)
        self.second_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        for last in (self.out, self.down):
            nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * size.layers))

    def forward(self, x: Tensor) -> Tensor:
        """(B, P, width) -> (B, P, width)."""
        projected = self.qkv(self.first_norm(x)).unflatten(2, (3, self.heads, -1))
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)
        x = x + self.out(_attention(queries, keys, values).transpose(1, 2).flatten(2))
        hidden = F.gelu(self.up(self.second_norm(x)))
        return x + self.dropout(self.down(hidden))


def _attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Causal attention: (B, heads, P, D) each -> (B, heads, P, D)."""
    positions = queries.shape[2]
    if positions > LONG:
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    later = torch.ones(positions, positions, dtype=torch.bool).triu(1)
    scores = (queries * queries.shape[3] ** -0.5) @ keys.transpose(2, 3)
    return scores.masked_fill(later, -math.inf).softmax(3).to(values.dtype) @ values


class Shipped(nn.Module):
    """The shipped network in float32, without its rounding and without training.

    Args:
        model: the shipped entropy model.
    """

    embedding: Tensor
    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor
    last: Tensor
    last_bias: Tensor

    def __init__(self, model: EntropyModel) -> None:
        super().__init__()
        for name in Shipped.__annotations__:
            self.register_buffer(name, getattr(model, name).float())
        self.width = len(model.second)

    @torch.autocast("cpu", enabled=False)
    def forward(self, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden units (B, P, M), of order 1, and logits (B, P, K), from neighbours (B, P, 10)."""
        unit = 1 << HIDDEN_SHIFT
        largest = (1 << ACTIVATION_BITS) - 1
        embedded = F.embedding(neighbours, self.embedding).flatten(2)
        hidden = F.linear(embedded, self.first, self.first_bias).div_(unit).clamp_(0, largest)
        update = F.linear(hidden, self.second, self.second_bias).div_(unit).clamp_(0, largest)
        hidden = hidden.add(update).clamp_(0, largest)
        scores = F.linear(hidden, self.last, self.last_bias)
        return hidden / unit, scores * (math.log(2) / (1 << SCORE_BITS))


class GridTransformer(nn.Module):
    """Logits of every token of a grid given all tokens before it, row by row.

    The features of a position are computed from its neighbours, from the token before it and from
    the hidden units of the shipped network. They attend to all positions before it and correct the
    logits of the shipped network. Untrained, this model equals the shipped network.

    Args:
        codebook: (K, D) float32, from which embeddings are initialised.
        side: rows and columns of the largest grid.
        size: see Size.
        shipped: the entropy model to correct; None corrects nothing.
    """

    def __init__(
        self, codebook: Tensor, side: int, size: Size, shipped: EntropyModel | None = None
    ) -> None:
        super().__init__()
        self.codes = len(codebook)
        self.shipped = None if shipped is None else Shipped(shipped)
        self.embedding = nn.Embedding(self.codes + 1, size.embedding)
        shipped_features = 0 if self.shipped is None else self.shipped.width
        inputs = (len(NEIGHBOURS) + 1) * size.embedding + shipped_features
        self.stem = nn.Linear(inputs, size.width)
        self.rows = nn.Parameter(0.02 * torch.randn(side, size.width))
        self.columns = nn.Parameter(0.02 * torch.randn(side, size.width))
        self.blocks = nn.Sequential(*(Block(size) for _ in range(size.layers)))
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, self.codes)
        self.dropout = nn.Dropout(size.dropout)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            centred = (codebook - codebook.mean(0)) / codebook.std(0).clamp_min(1e-6)
            shared = min(size.embedding, centred.shape[1])
            self.embedding.weight[:-1, :shared] = centred[:, :shared]

    def forward(self, grids: Tensor) -> Tensor:
        """Logits (B, H * W, K) of grids (B, H, W)."""
        _, height, width = grids.shape
        neighbours = neighbours_of(grids, self.codes).flatten(1, 2)
        previous = F.pad(grids.flatten(1).long(), (1, 0), value=self.codes)[:, :-1]
        inputs = self.embedding(torch.cat([neighbours, previous[..., None]], 2)).flatten(2)
        if self.shipped is None:
            return self._corrections(inputs, height, width)
        hidden, logits = self.shipped(neighbours)
        return logits + self._corrections(torch.cat([inputs, hidden], 2), height, width)

    def _corrections(self, inputs: Tensor, height: int, width: int) -> Tensor:
        """Corrections (B, H * W, K) of the logits, from inputs (B, H * W, features)."""
        positions = self.rows[:height, None] + self.columns[None, :width]
        x = self.stem(inputs) + positions.flatten(0, 1)
        return self.head(self.norm(self.blocks(self.dropout(x))))  # type: ignore[no-any-return]
