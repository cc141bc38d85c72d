"""Fit an EntropyModel to token grids: first the network, then the tables.

The network is trained with the arithmetic that it will be used with: numbers are rounded in the
forward pass, and gradients pass the rounding unchanged (Bengio et al., 2013). For the tables,
neighbours are grouped by their terms in the network's first layer (k-means); the tables' scores are
fitted by gradient descent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.data.images import read_chunks
from seit_cl.data.stored import StoredImage
from seit_cl.formats.entropy.model import (
    HIDDEN_SHIFT,
    MAX_ACTIVATION,
    NEIGHBOURS,
    SCORE_BITS,
    TABLE_SHIFT,
    EntropyModel,
    neighbours_of,
)
from seit_cl.tokenizers.base import Tokenizer

WEIGHT_BITS = 6  # weights and embeddings are in units of 2**-6
MAX_WEIGHT = 127  # in these units
UNSEEN_PROBABILITY = 1e-6  # of a code that does not occur
IMAGES_AT_ONCE = 256  # loaded and tokenized together

# Called after every step with the name of the part, steps done, all steps, and mean bits per token.
ProgressCallback = Callable[[str, int, int, float], None]
Draw = Callable[[], tuple[Tensor, Tensor]]  # a batch: neighbours (B, 10) and tokens (B,)


@dataclass(frozen=True)
class EntropyFitOptions:
    """Options of fitting an EntropyModel.

    Args:
        steps: of the network, and of the tables after it.
        batch: tokens per step.
        learning_rate: peak of AdamW, falling linearly to zero.
        width: units M of both hidden layers.
        embedding: dimensions E of a neighbour.
        groups: number of groups T of neighbours, one of them for the border.
        seed: of weights and batches.
    """

    steps: int = 6000
    batch: int = 2048
    learning_rate: float = 3e-3
    width: int = 128
    embedding: int = 32
    groups: int = 48
    seed: int = 0


def encode_grids(
    tokenizer: Tokenizer, stored: Sequence[StoredImage | Path], side: int, mirrored: bool = False
) -> Tensor:
    """Tokenize image files with a tokenizer of one code per position.

    Args:
        tokenizer: encodes the images.
        stored: N stored images, or paths of image files.
        side: of the images in pixels.
        mirrored: encode mirror images too, after each batch of images.

    Returns:
        (N, H, W) int16, or (2 N, H, W).
    """
    each = 2 if mirrored else 1
    grid = side // tokenizer.stride
    grids = torch.empty((each * len(stored), grid, grid), dtype=torch.int16)
    done = 0
    for images in read_chunks(stored, side, IMAGES_AT_ONCE):
        for seen in (images, images.flip(3))[:each]:
            grids[done : done + len(seen)] = tokenizer.encode(seen)[:, 0]
            done += len(seen)
    return grids


def fit_entropy(
    tokenizer: str,
    codes: int,
    grids: Sequence[tuple[Tensor, float]],
    options: EntropyFitOptions,
    progress: ProgressCallback,
) -> EntropyModel:
    """Fit network and tables to grids of several sizes.

    Args:
        tokenizer: identity of the tokenizer that the grids are from.
        codes: its codebook size K.
        grids: (B, H, W) each, with its share of every batch.
        options: of the fit.
        progress: called after every step.
    """
    generator = torch.Generator().manual_seed(options.seed)
    corpora = [(Corpus.of(grid, codes), share) for grid, share in grids]
    log_frequencies = _log_frequencies(corpora, codes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = Network(codes, options, log_frequencies)

    def draw() -> tuple[Tensor, Tensor]:
        parts = []
        for corpus, share in corpora:
            parts.append(corpus.draw(math.ceil(share * options.batch), generator))
        neighbours, tokens = zip(*parts, strict=True)
        return torch.cat(neighbours), torch.cat(tokens)

    def network_loss(neighbours: Tensor, tokens: Tensor) -> Tensor:
        return mean_bits(network(neighbours), tokens)

    _descend(
        "network",
        list(network.parameters()),
        network_loss,
        draw,
        options.steps,
        options.learning_rate,
        progress,
    )
    stored = {name: tensor.detach() for name, tensor in network.stored().items()}
    tables = _fit_tables(stored, log_frequencies, options, draw, progress)
    integers = {}
    for name, tensor in stored.items():
        integers[name] = tensor.to(torch.int32 if "bias" in name else torch.int8)
    return EntropyModel(tokenizer, **tables, **integers)


@dataclass(frozen=True)
class Corpus:
    """Tokens with their neighbours.

    Args:
        neighbours: (N, 10) int16.
        tokens: (N,) int16.
    """

    neighbours: Tensor
    tokens: Tensor

    @staticmethod
    def of(grids: Tensor, codes: int) -> Corpus:
        """Tokens of grids (B, H, W)."""
        return Corpus(neighbours_of(grids, codes).flatten(0, 2).short(), grids.flatten().short())

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw neighbours (count, 10) and tokens (count,), int64."""
        chosen = torch.randint(len(self.tokens), (count,), generator=generator)
        return self.neighbours[chosen].long(), self.tokens[chosen].long()


def _log_frequencies(corpora: Sequence[tuple[Corpus, float]], codes: int) -> Tensor:
    """Binary logarithms (K,) of the codes' frequencies, by the corpora's shares."""
    parts = []
    for corpus, share in corpora:
        counts = torch.bincount(corpus.tokens.long(), minlength=codes)
        parts.append(share * counts / len(corpus.tokens))
    frequencies = torch.stack(parts).sum(0)
    return (frequencies / frequencies.sum() + UNSEEN_PROBABILITY).log2()


class Network(nn.Module):
    """Network of an EntropyModel in training, which computes the numbers of the stored one.

    Args:
        codes: codebook size K.
        options: width and embedding.
        first_scores: (K,), the first scores of all codes.
    """

    def __init__(self, codes: int, options: EntropyFitOptions, first_scores: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes + 1, options.embedding)
        self.first = nn.Linear(len(NEIGHBOURS) * options.embedding, options.width)
        self.second = nn.Linear(options.width, options.width)
        self.last = nn.Linear(options.width, codes)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.last.bias.data = first_scores.clone()

    def stored(self) -> dict[str, Tensor]:
        """Weights and biases as integers, in float32."""
        # Sums of products of activations and weights, 2**-6 each, are in units of 2**-12; scores
        # are in units of 2**-11.
        unit = 1 << 2 * WEIGHT_BITS
        return {
            "embedding": _stored_weights(self.embedding.weight),
            "first": _stored_weights(self.first.weight),
            "second": _stored_weights(self.second.weight),
            "last": _stored_weights(self.last.weight),
            "first_bias": _rounded(self.first.bias * unit),
            "second_bias": _rounded(self.second.bias * unit),
            "last_bias": _rounded(self.last.bias * (1 << SCORE_BITS)),
        }

    def forward(self, neighbours: Tensor) -> Tensor:
        """Scores (B, K), integers in float32, after neighbours (B, 10)."""
        stored = self.stored()
        embedded = F.embedding(neighbours, stored["embedding"]).flatten(1)
        hidden = _activation(F.linear(embedded, stored["first"], stored["first_bias"]))
        residual = _activation(F.linear(hidden, stored["second"], stored["second_bias"]))
        hidden = (hidden + residual).clamp_max(MAX_ACTIVATION)
        return F.linear(hidden, stored["last"], stored["last_bias"])


def _rounded(values: Tensor) -> Tensor:
    """Round to integers; the gradient passes unchanged."""
    return values + (values.round() - values).detach()


def _rounded_down(values: Tensor) -> Tensor:
    """Round down; the gradient passes unchanged."""
    return values + (values.floor() - values).detach()


def _stored_weights(values: Tensor) -> Tensor:
    """Trained weights as they are stored, integers -127..127."""
    return _rounded(values * (1 << WEIGHT_BITS)).clamp(-MAX_WEIGHT, MAX_WEIGHT)


def _activation(sums: Tensor) -> Tensor:
    """Activations of sums of products, integers 0..255."""
    return _rounded_down(sums / (1 << HIDDEN_SHIFT)).clamp(0, MAX_ACTIVATION)


def mean_bits(scores: Tensor, tokens: Tensor) -> Tensor:
    """Mean bits per token under scores, with the coder's power of two.

    The power is linear between whole exponents.

    Args:
        scores: (B, K), in units of 2**-SCORE_BITS.
        tokens: (B,) int64.
    """
    exponent = scores / (1 << SCORE_BITS)
    exponent = exponent - exponent.detach().amax(1, keepdim=True)
    whole = exponent.detach().floor()
    weights = (1 + exponent - whole) * torch.exp2(whole)
    own_weights = weights.gather(1, tokens[:, None])[:, 0].clamp_min(2.0**-30)
    return (weights.sum(1).log2() - own_weights.log2()).mean()


def _descend(
    name: str,
    parameters: list[Tensor],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    draw: Draw,
    steps: int,
    rate: float,
    progress: ProgressCallback,
) -> None:
    """Minimise a loss of neighbours and tokens with AdamW, whose rate falls linearly to zero."""
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


def _fit_tables(
    stored: dict[str, Tensor],
    log_frequencies: Tensor,
    options: EntropyFitOptions,
    draw: Draw,
    progress: ProgressCallback,
) -> dict[str, Tensor]:
    """Fit the tables of an EntropyModel.

    Args:
        stored: the network's weights as integers.
        log_frequencies: (K,), binary logarithms.
        options: of the fit.
        draw: a batch.
        progress: called after every step.

    Returns:
        left_groups, upper_groups, left and upper.
    """
    # The left neighbour is the first of NEIGHBOURS, the upper one the second.
    left_groups = _group_neighbours(stored, 0, options)
    upper_groups = _group_neighbours(stored, 1, options)
    half = (log_frequencies / 2)[None].repeat(options.groups, 1)
    left = half.clone().requires_grad_()
    upper = half.clone().requires_grad_()
    unit = 1 << SCORE_BITS - TABLE_SHIFT

    def tables_loss(neighbours: Tensor, tokens: Tensor) -> Tensor:
        left_scores = _rounded(left * unit).clamp(-MAX_WEIGHT - 1, MAX_WEIGHT)
        upper_scores = _rounded(upper * unit).clamp(-MAX_WEIGHT - 1, MAX_WEIGHT)
        from_left = left_scores[left_groups[neighbours[:, 0]]]
        from_upper = upper_scores[upper_groups[neighbours[:, 1]]]
        return mean_bits((from_left + from_upper) * (1 << TABLE_SHIFT), tokens)

    rate = 10 * options.learning_rate
    _descend("tables", [left, upper], tables_loss, draw, options.steps, rate, progress)
    return {
        "left_groups": left_groups,
        "upper_groups": upper_groups,
        "left": _stored_scores(left, unit),
        "upper": _stored_scores(upper, unit),
    }


def _stored_scores(table: Tensor, unit: int) -> Tensor:
    """Scores of a table (T, K) as they are stored, int8."""
    scores = (table.detach() * unit).round()
    return scores.clamp(-MAX_WEIGHT - 1, MAX_WEIGHT).to(torch.int8)


def _group_neighbours(stored: dict[str, Tensor], index: int, options: EntropyFitOptions) -> Tensor:
    """Group codes by their terms in the network's first layer as neighbour number `index`.

    Returns:
        Groups (K + 1,) int64; the border has the last one to itself.
    """
    size = stored["embedding"].shape[1]
    weights = stored["first"][:, index * size : (index + 1) * size]
    terms = (stored["embedding"] @ weights.T)[:-1]
    groups = cluster(terms, options.groups - 1, options.seed)
    return torch.cat([groups, torch.tensor([options.groups - 1])])


def cluster(values: Tensor, count: int, seed: int) -> Tensor:
    """Cluster values (K, M) by k-means.

    Returns:
        Clusters (K,) int64, 0..count-1.
    """
    import faiss

    points = values.float().contiguous().numpy()
    means = faiss.Kmeans(points.shape[1], count, niter=50, seed=seed + 1, min_points_per_centroid=1)
    means.train(points)
    return torch.from_numpy(means.index.search(points, 1)[1][:, 0])
