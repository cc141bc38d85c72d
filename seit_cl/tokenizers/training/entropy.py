"""Fitting an EntropyModel to token grids: the network with its weights rounded as they will be stored, then the tables.

The network is trained with the arithmetic that it will have, rounded forward and passed straight through backward (Bengio et
al., 2013). Neighbours are grouped by what they tell its first layer (k-means); the scores of the tables are fitted by descent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import faiss
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.formats.entropy.model import (
    ACTIVATION_BITS,
    HIDDEN_SHIFT,
    NEIGHBOURS,
    SCORE_BITS,
    TABLE_SHIFT,
    EntropyModel,
    neighbours_of,
)

WEIGHT_BITS = 6  # weights and embeddings are in units of 2**-6, up to 127 of them
MOST = (1 << ACTIVATION_BITS) - 1
LARGEST = 127
RARE = 1e-6  # probability of a code that was never seen
Report = Callable[
    [str, int, int, float], None
]  # what is fitted, steps done, steps in all, mean bits a token


@dataclass(frozen=True)
class Fit:
    """How a model is fitted.

    Args:
        steps: of the network, and of the tables after it.
        batch: tokens a step.
        learning_rate: peak of AdamW, falling to zero in a line.
        width: units of both hidden layers M.
        embedding: dimensions of a neighbour E.
        groups: of neighbours T, the border's included.
        seed: of weights and batches.
    """

    steps: int = 6000
    batch: int = 2048
    learning_rate: float = 3e-3
    width: int = 128
    embedding: int = 32
    groups: int = 48
    seed: int = 0


def whole(values: Tensor) -> Tensor:
    """Rounded to whole numbers; the gradient passes."""
    return values + (values.round() - values).detach()


def down(values: Tensor) -> Tensor:
    """Rounded down; the gradient passes."""
    return values + (values.floor() - values).detach()


def weight(values: Tensor) -> Tensor:
    """Stored weights, whole numbers -127..127, of the trained ones."""
    return whole(values * (1 << WEIGHT_BITS)).clamp(-LARGEST, LARGEST)


class Network(nn.Module):
    """The network of an EntropyModel while it is trained: every number that it computes is the one that will be computed."""

    def __init__(self, codes: int, fit: Fit, first_scores: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes + 1, fit.embedding)
        self.first = nn.Linear(len(NEIGHBOURS) * fit.embedding, fit.width)
        self.second = nn.Linear(fit.width, fit.width)
        self.last = nn.Linear(fit.width, codes)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.last.bias.data = first_scores.clone()

    def stored(self) -> dict[str, Tensor]:
        """Weights and biases as whole numbers, in float32."""
        # Sums of products of activations (2**-6) and weights (2**-6) are in units of 2**-12; scores are read in 2**-11.
        unit = 1 << 2 * WEIGHT_BITS
        return {
            "embedding": weight(self.embedding.weight),
            "first": weight(self.first.weight),
            "second": weight(self.second.weight),
            "last": weight(self.last.weight),
            "first_bias": whole(self.first.bias * unit),
            "second_bias": whole(self.second.bias * unit),
            "last_bias": whole(self.last.bias * (1 << SCORE_BITS)),
        }

    def forward(self, neighbours: Tensor) -> Tensor:
        """Scores (B, K), whole numbers, after neighbours (B, 10)."""
        w = self.stored()
        hidden = _squash(
            F.linear(
                F.embedding(neighbours, w["embedding"]).flatten(1), w["first"], w["first_bias"]
            )
        )
        hidden = (hidden + _squash(F.linear(hidden, w["second"], w["second_bias"]))).clamp_max(MOST)
        return F.linear(hidden, w["last"], w["last_bias"])


def _squash(sums: Tensor) -> Tensor:
    return down(sums / (1 << HIDDEN_SHIFT)).clamp(0, MOST)


def bits(scores: Tensor, tokens: Tensor) -> Tensor:
    """Mean bits a token of tokens (B,) under scores (B, K), with the coder's power of two: linear between whole exponents."""
    exponent = scores / (1 << SCORE_BITS)
    exponent = exponent - exponent.detach().amax(1, keepdim=True)
    low = exponent.detach().floor()
    weights = (1 + exponent - low) * torch.exp2(low)
    return (
        weights.sum(1).log2() - weights.gather(1, tokens[:, None])[:, 0].clamp_min(2.0**-30).log2()
    ).mean()


@dataclass(frozen=True)
class Corpus:
    """Tokens with their neighbours.

    Args:
        neighbours: (N, 10) int16; tokens: (N,) int16.
    """

    neighbours: Tensor
    tokens: Tensor

    @staticmethod
    def of(grids: Tensor, codes: int) -> Corpus:
        """The tokens of grids (B, H, W)."""
        return Corpus(neighbours_of(grids, codes).flatten(0, 2).short(), grids.flatten().short())

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Neighbours (count, 10) and tokens (count,), int64."""
        chosen = torch.randint(len(self.tokens), (count,), generator=generator)
        return self.neighbours[chosen].long(), self.tokens[chosen].long()


def fit_entropy(
    tokenizer: str, codes: int, grids: Sequence[tuple[Tensor, float]], fit: Fit, progress: Report
) -> EntropyModel:
    """Fit both models to grids of several sizes.

    Args:
        tokenizer: identity of the tokenizer that the grids are from.
        codes: its codebook size K.
        grids: (B, H, W) each, with its share of every batch.
        fit: how.
        progress: called after every step.
    """
    generator = torch.Generator().manual_seed(fit.seed)
    corpora = [(Corpus.of(grid, codes), share) for grid, share in grids]
    seen = torch.stack(
        [
            share * torch.bincount(c.tokens.long(), minlength=codes) / len(c.tokens)
            for c, share in corpora
        ]
    ).sum(0)
    alone = (seen / seen.sum() + RARE).log2()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fit.seed)
        network = Network(codes, fit, alone)

    def draw() -> tuple[Tensor, Tensor]:
        parts = [corpus.draw(math.ceil(share * fit.batch), generator) for corpus, share in corpora]
        return torch.cat([near for near, _ in parts]), torch.cat([tokens for _, tokens in parts])

    def lossless(near: Tensor, tokens: Tensor) -> Tensor:
        return bits(network(near), tokens)

    descend(
        "network",
        list(network.parameters()),
        lossless,
        draw,
        fit.steps,
        fit.learning_rate,
        progress,
    )
    stored = {name: tensor.detach() for name, tensor in network.stored().items()}
    tables = fit_tables(stored, alone, fit, draw, progress)
    small = {
        name: tensor.to(torch.int32 if "bias" in name else torch.int8)
        for name, tensor in stored.items()
    }
    return EntropyModel(tokenizer, **tables, **small)


def descend(
    name: str,
    parameters: list[Tensor],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    draw: Callable[[], tuple[Tensor, Tensor]],
    steps: int,
    rate: float,
    progress: Report,
) -> None:
    """Lower a loss of neighbours and tokens by AdamW, its rate falling to zero in a line."""
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    mean = math.nan
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        loss = loss_of(*draw())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        value = float(loss.detach())
        mean = value if math.isnan(mean) else 0.99 * mean + 0.01 * value
        progress(name, step + 1, steps, mean)


def fit_tables(
    stored: dict[str, Tensor],
    alone: Tensor,
    fit: Fit,
    draw: Callable[[], tuple[Tensor, Tensor]],
    progress: Report,
) -> dict[str, Tensor]:
    """Groups of left and upper neighbours and the scores after them, as an EntropyModel has them.

    Args:
        stored: the network's whole numbers; alone: (K,) binary logarithms of the codes' frequencies.
    """
    size = stored["embedding"].shape[1]
    said = [
        stored["embedding"] @ stored["first"][:, i * size : (i + 1) * size].T for i in range(2)
    ]  # left, then upper
    groups = [group(values[:-1], fit.groups - 1, fit.seed) for values in said]
    half = (alone / 2)[None].repeat(fit.groups, 1)
    scores = [half.clone().requires_grad_(), half.clone().requires_grad_()]
    unit = 1 << SCORE_BITS - TABLE_SHIFT

    def loss(near: Tensor, tokens: Tensor) -> Tensor:
        rounded = [whole(table * unit).clamp(-LARGEST - 1, LARGEST) for table in scores]
        left, upper = (
            table[which[near[:, i]]]
            for i, (table, which) in enumerate(zip(rounded, groups, strict=True))
        )
        return bits((left + upper) * (1 << TABLE_SHIFT), tokens)

    descend("tables", scores, loss, draw, fit.steps, 10 * fit.learning_rate, progress)
    kept = [
        (table.detach() * unit).round().clamp(-LARGEST - 1, LARGEST).to(torch.int8)
        for table in scores
    ]
    return dict(
        zip(("left_groups", "upper_groups", "left", "upper"), (*groups, *kept), strict=True)
    )


def group(values: Tensor, count: int, seed: int) -> Tensor:
    """Groups (K + 1,) int64 of values (K, M) by k-means; the border has the last one to itself."""
    points = values.float().contiguous().numpy()
    means = faiss.Kmeans(points.shape[1], count, niter=50, seed=seed + 1, min_points_per_centroid=1)
    means.train(points)
    found = torch.from_numpy(means.index.search(points, 1)[1][:, 0])
    return torch.cat([found, torch.tensor([count])])
