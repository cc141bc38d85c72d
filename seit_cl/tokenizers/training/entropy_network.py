"""The networks of an EntropyModel in training, and the descent on their loss.

The network is trained with the arithmetic that it will be used with: numbers are rounded in the
forward pass, and gradients pass the rounding unchanged (Bengio et al., 2013).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.formats.entropy.columns import EARLIER, NEIGHBOURS
from seit_cl.formats.entropy.compact import FREQUENCY_SHIFT
from seit_cl.formats.entropy.network import HIDDEN_SHIFT, MAX_ACTIVATION, SCORE_BITS

WEIGHT_BITS = 6  # weights and embeddings are in units of 2**-6
MAX_WEIGHT = 127  # in these units
UNIT = 1 << 2 * WEIGHT_BITS  # sums of products of weights and activations are in units of 2**-12

# Called after every step with the name of the part, steps done, all steps, and mean bits per token.
ProgressCallback = Callable[[str, int, int, float], None]
Draw = Callable[[], tuple[Tensor, Tensor]]  # a batch: columns (B, N) and tokens (B,)


@dataclass(frozen=True)
class EntropyFitOptions:
    """Options of fitting an EntropyModel.

    Args:
        steps: of the network, and of the tables after it.
        batch: tokens per step.
        learning_rate: peak of AdamW, falling linearly to zero.
        width: units M of both hidden layers.
        embedding: dimensions E of a neighbour.
        compact_width: units of both hidden layers of the compact network.
        groups: number of groups T of neighbours, one of them for the border.
        seed: of weights and batches.
    """

    steps: int = 6000
    batch: int = 2048
    learning_rate: float = 3e-3
    width: int = 128
    embedding: int = 32
    compact_width: int = 16
    groups: int = 48
    seed: int = 0


@dataclass(frozen=True)
class Layout:
    """Sizes of a model of one code of a position; see EntropyModel.

    Args:
        codes: K.
        group: number of the code, from 0.
        length: number of tokens of a sequence; 0 for grids.
    """

    codes: int
    group: int
    length: int

    @property
    def known(self) -> int:
        """Codes of the same position that come before, at most EARLIER of them."""
        return min(self.group, EARLIER)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of columns that tables may be about."""
        before = len(NEIGHBOURS)  # the latest code of the same position
        pairs = [(0, 1)]  # left and upper neighbour
        if self.length:
            pairs = [(0, before + self.known)]  # left neighbour and place
        if not self.known:
            return pairs
        return [
            *pairs,
            (0, before),
            (1, before) if not self.length else (before, before + self.known),
        ]

    @property
    def columns(self) -> range:
        """All columns."""
        return range(len(NEIGHBOURS) + self.known + (self.length > 0))


class Network(nn.Module):
    """Network of an EntropyModel in training, which computes the numbers of the stored one.

    Args:
        layout: of the code that it predicts.
        options: width and embedding.
        first_scores: (K,), the first scores of all codes.
    """

    def __init__(self, layout: Layout, options: EntropyFitOptions, first_scores: Tensor) -> None:
        super().__init__()
        self.length = layout.length
        self.known = layout.known
        inputs = len(NEIGHBOURS) + layout.known
        self.embedding = nn.Embedding(layout.codes + 1, options.embedding)
        self.first = nn.Linear(inputs * options.embedding, options.width)
        self.second = nn.Linear(options.width, options.width)
        self.last = nn.Linear(options.width, layout.codes)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.last.bias.data = first_scores.clone()
        if layout.known:
            shape = (layout.known, layout.codes, options.embedding)
            self.earlier = nn.Parameter(0.3 * torch.randn(shape))
        if layout.length:
            self.places = nn.Parameter(torch.zeros(layout.length, options.width))

    def stored(self) -> dict[str, Tensor]:
        """Weights and biases as integers, in float32."""
        stored = {
            **_hidden_layers(self.first, self.second, self.places if self.length else None),
            "embedding": _stored_weights(self.embedding.weight),
            "last": _stored_weights(self.last.weight),
            "last_bias": rounded(self.last.bias * (1 << SCORE_BITS)),
        }
        if self.known:
            stored["earlier"] = _stored_weights(self.earlier)
        return stored

    def forward(self, columns: Tensor) -> Tensor:
        """Scores (B, K), integers in float32, after columns (B, N)."""
        return _scores(self.stored(), columns)


class CompactNetwork(nn.Module):
    """Network of a CompactModel in training, which computes the numbers of the stored one.

    Args:
        layout: of the code that it predicts.
        width: units M of both hidden layers.
        vectors: (K, D) int8, of the codes that it predicts.
        earlier: (P, K, D) int8, of the codes of the position that come before, the latest first.
        log_frequencies: (K,), binary logarithms.
    """

    vectors: Tensor
    earlier: Tensor

    def __init__(
        self,
        layout: Layout,
        width: int,
        vectors: Tensor,
        earlier: Tensor | None,
        log_frequencies: Tensor,
    ) -> None:
        super().__init__()
        size = vectors.shape[1]
        self.register_buffer("vectors", vectors.float())
        self.register_buffer("earlier", None if earlier is None else earlier.float())
        self.border = nn.Parameter(torch.zeros(size))
        self.first = nn.Linear((len(NEIGHBOURS) + layout.known) * size, width)
        self.second = nn.Linear(width, width)
        self.out = nn.Linear(width, size)
        self.frequencies = nn.Parameter(log_frequencies - log_frequencies.mean())
        self.places = None
        if layout.length:
            self.places = nn.Parameter(torch.zeros(layout.length, width))

    def stored(self) -> dict[str, Tensor]:
        """Weights and biases as integers, in float32, by their names in CompactModel."""
        bits_per_unit = 1 << SCORE_BITS - FREQUENCY_SHIFT
        frequencies = rounded(self.frequencies * bits_per_unit).clamp(-MAX_WEIGHT, MAX_WEIGHT)
        return {
            **_hidden_layers(self.first, self.second, self.places),
            "vectors": self.vectors,
            "border": _stored_weights(self.border),
            "out": _stored_weights(self.out.weight),
            "out_bias": rounded(self.out.bias * UNIT),
            "frequencies": frequencies,
        }

    def forward(self, columns: Tensor) -> Tensor:
        """Scores (B, K), integers in float32, after columns (B, N)."""
        stored = self.stored()
        stored["embedding"] = torch.cat([self.vectors, stored["border"][None]])
        stored["last"] = self.vectors
        stored["last_bias"] = stored["frequencies"] * (1 << FREQUENCY_SHIFT)
        if self.earlier is not None:
            stored["earlier"] = self.earlier
        return _scores(stored, columns)


def _hidden_layers(first: nn.Linear, second: nn.Linear, places: Tensor | None) -> dict[str, Tensor]:
    """Stored weights and biases of both hidden layers; `places` (N, M) are added to the first's."""
    first_bias: Tensor = first.bias
    if places is not None:
        first_bias = first_bias + places
    return {
        "first": _stored_weights(first.weight),
        "second": _stored_weights(second.weight),
        "first_bias": rounded(first_bias * UNIT),
        "second_bias": rounded(second.bias * UNIT),
    }


def _scores(stored: dict[str, Tensor], columns: Tensor) -> Tensor:
    """Scores (B, K) of the tensors of a CodeNetwork after columns (B, N).

    As CodeNetwork computes them, but with gradients.
    """
    near = len(NEIGHBOURS)
    embedded = [F.embedding(columns[:, :near], stored["embedding"]).flatten(1)]
    for number, vectors in enumerate(stored.get("earlier", ())):
        embedded.append(F.embedding(columns[:, near + number], vectors))
    bias = stored["first_bias"]
    if bias.ndim == 2:
        bias = bias[columns[:, -1]]
    hidden = _activation(F.linear(torch.cat(embedded, 1), stored["first"]) + bias)
    residual = _activation(F.linear(hidden, stored["second"], stored["second_bias"]))
    hidden = (hidden + residual).clamp_max(MAX_ACTIVATION)
    if "out" in stored:
        sums = F.linear(hidden, stored["out"], stored["out_bias"])
        scaled = _rounded_down(sums / (1 << HIDDEN_SHIFT))
        hidden = scaled.clamp(-MAX_ACTIVATION, MAX_ACTIVATION)
    return F.linear(hidden, stored["last"], stored["last_bias"])


def rounded(values: Tensor) -> Tensor:
    """Round to integers; the gradient passes unchanged."""
    return values + (values.round() - values).detach()


def _rounded_down(values: Tensor) -> Tensor:
    """Round down; the gradient passes unchanged."""
    return values + (values.floor() - values).detach()


def _stored_weights(values: Tensor) -> Tensor:
    """Trained weights as they are stored, integers -127..127."""
    return rounded(values * (1 << WEIGHT_BITS)).clamp(-MAX_WEIGHT, MAX_WEIGHT)


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


def descend(
    name: str,
    parameters: list[Tensor],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    draw: Draw,
    steps: int,
    rate: float,
    progress: ProgressCallback,
) -> float:
    """Minimise a loss of columns and tokens with AdamW, whose rate falls linearly to zero.

    Returns:
        Moving average of the loss at the end.
    """
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
    return mean
