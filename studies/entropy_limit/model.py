"""A causal transformer of token grids: what is left to foretell of a token when speed does not count."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.formats.entropy.model import (
    ACTIVATION_BITS,
    HIDDEN_SHIFT,
    NEIGHBOURS,
    SCORE_BITS,
    EntropyModel,
    neighbours_of,
)

LONG = 256  # positions from which torch's fused attention is the faster one on a CPU


@dataclass(frozen=True)
class Size:
    """How large a network is.

    Args:
        width: of a position; layers: blocks; heads: of attention; embedding: dimensions of a neighbour; dropout: probability.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    embedding: int = 64
    dropout: float = 0.05


class Block(nn.Module):
    """Causal attention and a perceptron, each after a layer norm (as GPT-2, Radford et al., 2019)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads, self.dropout = size.heads, nn.Dropout(size.dropout)
        self.first_norm, self.second_norm = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.qkv, self.out = (
            nn.Linear(size.width, 3 * size.width),
            nn.Linear(size.width, size.width),
        )
        self.up, self.down = (
            nn.Linear(size.width, 4 * size.width),
            nn.Linear(4 * size.width, size.width),
        )
        for last in (self.out, self.down):
            nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * size.layers))

    def forward(self, x: Tensor) -> Tensor:
        """(B, P, width) after (B, P, width)."""
        q, k, v = (
            self.qkv(self.first_norm(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )
        x = x + self.out(_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.dropout(self.down(F.gelu(self.up(self.second_norm(x)))))


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Each position's mean (B, heads, P, D) of the values up to its own."""
    if q.shape[2] > LONG:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    later = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).triu(1)
    scores = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)
    return scores.masked_fill(later, -math.inf).softmax(3).to(v.dtype) @ v


class Shipped(nn.Module):
    """The shipped network in float32, without its rounding; it does not learn.

    Args:
        model: an EntropyModel.
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
    def forward(self, near: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden units (B, P, M), of order 1, and logits (B, P, K) after neighbours (B, P, 10)."""
        unit, most = 1 << HIDDEN_SHIFT, (1 << ACTIVATION_BITS) - 1
        hidden = (
            F.linear(F.embedding(near, self.embedding).flatten(2), self.first, self.first_bias)
            .div_(unit)
            .clamp_(0, most)
        )
        hidden = hidden.add(
            F.linear(hidden, self.second, self.second_bias).div_(unit).clamp_(0, most)
        ).clamp_(0, most)
        scores = F.linear(hidden, self.last, self.last_bias)
        return hidden / unit, scores * (math.log(2) / (1 << SCORE_BITS))


class GridTransformer(nn.Module):
    """Probabilities of every token of a grid after all tokens before it, row by row.

    A position starts from its neighbours, the token before it and the shipped network's hidden units, attends to all positions
    before it, and corrects the shipped network's logits: untrained, it is the shipped network.

    Args:
        codebook: (K, D) float32, what embeddings start from.
        side: rows and columns of the largest grid.
        size: of the network.
        shipped: the model to correct; None to start from nothing.
    """

    def __init__(
        self, codebook: Tensor, side: int, size: Size, shipped: EntropyModel | None = None
    ) -> None:
        super().__init__()
        self.codes = len(codebook)
        self.shipped = None if shipped is None else Shipped(shipped)
        self.embedding = nn.Embedding(self.codes + 1, size.embedding)
        more = 0 if self.shipped is None else self.shipped.width
        self.stem = nn.Linear((len(NEIGHBOURS) + 1) * size.embedding + more, size.width)
        self.rows, self.columns = (
            nn.Parameter(0.02 * torch.randn(side, size.width)) for _ in range(2)
        )
        self.blocks = nn.Sequential(*(Block(size) for _ in range(size.layers)))
        self.norm, self.head = nn.LayerNorm(size.width), nn.Linear(size.width, self.codes)
        self.dropout = nn.Dropout(size.dropout)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            centred = (codebook - codebook.mean(0)) / codebook.std(0).clamp_min(1e-6)
            known = min(size.embedding, centred.shape[1])
            self.embedding.weight[:-1, :known] = centred[:, :known]

    def forward(self, grids: Tensor) -> Tensor:
        """Logits (B, H * W, K) of grids (B, H, W)."""
        _, height, width = grids.shape
        near = neighbours_of(grids, self.codes).flatten(1, 2)
        before = F.pad(grids.flatten(1).long(), (1, 0), value=self.codes)[:, :-1]
        seen = self.embedding(torch.cat([near, before[..., None]], 2)).flatten(2)
        if self.shipped is None:
            return self._corrections(seen, height, width)
        hidden, logits = self.shipped(near)
        return logits + self._corrections(torch.cat([seen, hidden], 2), height, width)

    def _corrections(self, seen: Tensor, height: int, width: int) -> Tensor:
        x = self.stem(seen) + (self.rows[:height, None] + self.columns[None, :width]).flatten(0, 1)
        return self.head(self.norm(self.blocks(self.dropout(x))))  # type: ignore[no-any-return]
