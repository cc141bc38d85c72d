"""Scores of codes by a small perceptron in integers, and the intervals that a range coder needs.

No decision depends on rounding. Weights are integers below 2**7 and activations at most 2**8, held
in float32; their sums stay below 2**24 and are exact in any order, so all machines get the same
numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from seit_cl.formats.entropy.columns import NEIGHBOURS
from seit_cl.formats.entropy.range_coder import BITS, TOTAL

SCORE_BITS = 11  # a score is a binary logarithm in units of 2**-11
ACTIVATION_BITS = 8  # activations are 0..255
HIDDEN_SHIFT = 6  # sums of products are shifted right by it to become activations
MAX_ACTIVATION = (1 << ACTIVATION_BITS) - 1
EXACT = 1 << 24  # integers below it, and their sums in any order, are exact in float32


@dataclass(frozen=True)
class CodeNetwork:
    """A perceptron with two hidden layers that scores all codes after what is known of a token.

    What is known has columns; see EntropyModel.

    Args:
        embedding: (K + 1, E) int8, of every code as a neighbour.
        first, first_bias: (M, (10 + P) E) int8 and (M,) int32, the first hidden layer; the bias
            is (N, M) for sequences of N tokens.
        second, second_bias: (M, M) int8 and (M,) int32, the second.
        last, last_bias: (K, F) int8 and (K,) int32, scores of the codes; F is M without `out`.
        earlier: (P, K, E) int8, of every code of the same position that comes before.
        out, out_bias: (F, M) int8 and (F,) int32, a layer before the last that may be negative.
    """

    embedding: Tensor
    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor
    last: Tensor
    last_bias: Tensor
    earlier: Tensor | None = None
    out: Tensor | None = None
    out_bias: Tensor | None = None

    @property
    def codes(self) -> int:
        """Size of the codebook K."""
        return len(self.last)

    @property
    def known(self) -> int:
        """Number of codes that `earlier` is about, P."""
        return 0 if self.earlier is None else len(self.earlier)

    @cached_property
    def _first_sums(self) -> Tensor:
        """Terms of the columns' codes in the first layer's sums: (10 (K + 1) + P K, M) float32."""
        units, size = len(self.first), self.embedding.shape[1]
        weights = self.first.float().unflatten(1, (-1, size))
        near, before = weights.split([len(NEIGHBOURS), self.known], 1)
        terms = torch.einsum("ke,mne->nkm", self.embedding.float(), near).reshape(-1, units)
        if self.earlier is None:
            return terms
        further = torch.einsum("nke,mne->nkm", self.earlier.float(), before).reshape(-1, units)
        return torch.cat([terms, further])

    @cached_property
    def _first_rows(self) -> Tensor:
        """Rows (10 + P,) int64 of `_first_sums` at which the columns begin."""
        near = torch.arange(len(NEIGHBOURS)) * (self.codes + 1)
        before = torch.arange(self.known) * self.codes
        rows = torch.cat([near, len(NEIGHBOURS) * (self.codes + 1) + before])
        return rows.to(self.last.device)

    @cached_property
    def _second(self) -> tuple[Tensor, Tensor]:
        """Transposed weights and bias of the second layer, float32."""
        return self.second.float().T.contiguous(), self.second_bias.float()

    @cached_property
    def _out(self) -> tuple[Tensor, Tensor] | None:
        """Transposed weights and bias of the layer before the last, float32; None without one."""
        if self.out is None or self.out_bias is None:
            return None
        return self.out.float().T.contiguous(), self.out_bias.float()

    @cached_property
    def _last(self) -> tuple[Tensor, Tensor]:
        """Transposed weights and bias of the last layer, float32."""
        return self.last.float().T.contiguous(), self.last_bias.float()

    @cached_property
    def _first_bias(self) -> Tensor:
        return self.first_bias.float()

    def starts(self, columns: Tensor) -> Tensor:
        """Interval starts of all codes: (B, K + 1) int32, TOTAL last.

        Args:
            columns: (B, 10 + P) int64, or (B, 11 + P) for sequences.
        """
        first_bias = self._first_bias
        if first_bias.ndim == 2:
            first_bias = first_bias[columns[:, -1]]
            columns = columns[:, :-1]
        rows = columns + self._first_rows
        hidden = _activation(embedding_bag(rows, self._first_sums, mode="sum") + first_bias)
        second, second_bias = self._second
        residual = _activation(hidden @ second + second_bias)
        hidden = (hidden + residual).clamp_max(MAX_ACTIVATION)
        if self._out is not None:
            out, out_bias = self._out
            hidden = _signed_activation(hidden @ out + out_bias)
        last, last_bias = self._last
        return intervals(hidden @ last + last_bias)

    @property
    def largest_sum(self) -> int:
        """Bound of every sum for any columns; float32 is exact below EXACT."""
        largest_embedding = int(self.embedding.long().abs().max())
        if self.earlier is not None:
            largest_embedding = max(largest_embedding, int(self.earlier.long().abs().max()))
        sums = [
            _largest_sum(self.first, self.first_bias, largest_embedding),
            _largest_sum(self.second, self.second_bias, MAX_ACTIVATION),
            _largest_sum(self.last, self.last_bias, MAX_ACTIVATION),
        ]
        if self.out is not None and self.out_bias is not None:
            sums.append(_largest_sum(self.out, self.out_bias, MAX_ACTIVATION))
        return max(sums)


def _largest_sum(weights: Tensor, bias: Tensor, largest_input: int) -> int:
    """Largest absolute value of a layer's units, for inputs up to `largest_input`.

    Args:
        weights: (M, N); bias: (M,), or several of them, (B, M).
    """
    products = weights.long().abs().sum(1) * largest_input
    return int((products + bias.long().abs()).max())


def _activation(sums: Tensor) -> Tensor:
    """Integers 0..255 from sums of products."""
    return (sums / (1 << HIDDEN_SHIFT)).floor().clamp(0, MAX_ACTIVATION)


def _signed_activation(sums: Tensor) -> Tensor:
    """Integers -255..255 from sums of products."""
    return (sums / (1 << HIDDEN_SHIFT)).floor().clamp(-MAX_ACTIVATION, MAX_ACTIVATION)


def intervals(scores: Tensor) -> Tensor:
    """Divide 0..TOTAL among codes in proportion to two to the power of their scores.

    The power is linear between whole exponents and is made in the bits of a float. Every interval
    is at least 1 wide.

    Args:
        scores: (B, K) float32, binary logarithms as integers in units of 2**-SCORE_BITS.

    Returns:
        Starts (B, K + 1) int32 of the intervals; TOTAL last.
    """
    below = (scores.amax(1, keepdim=True) - scores).clamp_max(BITS << SCORE_BITS).int()
    weights = ((127 + BITS << 23) - (below << 23 - SCORE_BITS)).view(torch.float32).floor().double()
    # Numerators stay below 2**40 and sums below 2**31, so no quotient rounds up to an integer.
    shares = weights * (TOTAL - scores.shape[1]) / weights.sum(1, keepdim=True)
    starts = pad((shares.int() + 1).cumsum(1, dtype=torch.int32), (1, 0))
    starts[:, -1] = TOTAL
    return starts
