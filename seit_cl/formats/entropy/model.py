"""How likely each token is after its neighbours, in integers: what entropy coders of token grids ask.

Two models of one tokenizer's codes, fitted ahead of time (`python -m seit_cl.tokenize entropy`) on images that nobody
replays. Tables: a token's score is the sum of what a group of left neighbours and one of upper neighbours say of it. Network: a
small perceptron on ten neighbours that come before a token, as in PixelRNN (van den Oord et al., ICML 2016), with weights of
eight bits.

No decision depends on rounding. Weights are integers below 2**7 and activations below 2**8, held in float32, whose sums stay
below 2**24 and are exact in any order; what machines do differently cannot move them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.formats.entropy.range_coder import BITS, TOTAL

# Where the neighbours lie that a decoder knows already, row and column apart, the nearest first.
NEIGHBOURS = (
    (0, -1),
    (-1, 0),
    (-1, -1),
    (-1, 1),
    (0, -2),
    (-2, 0),
    (-1, 2),
    (-2, -1),
    (-2, 1),
    (-1, -2),
)
REACH = 2  # rows above and columns beside
SCORE_BITS = 11  # a score is a binary logarithm in units of 2**-11
ACTIVATION_BITS, HIDDEN_SHIFT = (
    8,
    6,
)  # activations are 0..255; sums of products are brought there by a shift
EXACT = 1 << 24  # whole numbers below it, and their sums in any order, are exact in float32
TABLE_SHIFT = 8  # tables hold scores in units of 2**-3


@dataclass(frozen=True)
class EntropyModel:
    """The probabilities of a tokenizer's codes.

    Args:
        tokenizer: its identity.
        left_groups, upper_groups: (K + 1,) int64, groups 0..T-1 of codes as left and as upper neighbours; the last is the border.
        left, upper: (T, K) int8, scores of every code after a neighbour of a group.
        embedding: (K + 1, E) int8 of every code as a neighbour, the last of the border.
        first, first_bias: (M, 10 E) int8, (M,) int32; second, second_bias: (M, M), (M,); last, last_bias: (K, M), (K,).
    """

    tokenizer: str
    left_groups: Tensor
    upper_groups: Tensor
    left: Tensor
    upper: Tensor
    embedding: Tensor
    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor
    last: Tensor
    last_bias: Tensor

    @property
    def codes(self) -> int:
        """The size of the codebook K."""
        return len(self.last)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self._tensors().values())

    @cached_property
    def identity(self) -> bytes:
        """Eight bytes that change whenever a number of the model does: records are read by the model that wrote them alone."""
        parts = [tensor.cpu().contiguous().numpy().tobytes() for tensor in self._tensors().values()]
        return hashlib.sha256(b"".join(parts)).digest()[:8]

    def _tensors(self) -> dict[str, Tensor]:
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "tokenizer"
        }

    @cached_property
    def _elsewhere(self) -> dict[torch.device, EntropyModel]:
        return {self.last.device: self}

    def on(self, device: torch.device) -> EntropyModel:
        """The same on a device, copied there once."""
        if device not in self._elsewhere:
            tensors = {name: tensor.to(device) for name, tensor in self._tensors().items()}
            self._elsewhere[device] = EntropyModel(self.tokenizer, **tensors)
        return self._elsewhere[device]

    @cached_property
    def table_starts(self) -> Tensor:
        """(T * T, K + 1) int32: where the intervals of all codes start after a left and an upper group, and TOTAL at the end."""
        scores = (self.left[:, None].float() + self.upper[None].float()) * (1 << TABLE_SHIFT)
        return intervals(scores.reshape(-1, self.codes))

    def table_context(self, left: Tensor, upper: Tensor) -> Tensor:
        """Rows (B,) of `table_starts` after neighbours (B,), K where there is none."""
        return self.left_groups[left] * len(self.upper) + self.upper_groups[upper]

    @cached_property
    def _first_sums(self) -> Tensor:
        """(10 * (K + 1), M) float32: what each neighbour's code adds to each unit of the first layer."""
        parts = self.first.float().view(len(self.first), len(NEIGHBOURS), -1)
        return torch.einsum("ke,mne->nkm", self.embedding.float(), parts).reshape(
            -1, len(self.first)
        )

    @cached_property
    def _dense(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Biases and transposed weights as float32."""
        second, last = self.second.float().T.contiguous(), self.last.float().T.contiguous()
        return (
            self.first_bias.float(),
            second,
            self.second_bias.float(),
            last,
            self.last_bias.float(),
        )

    def network_starts(self, neighbours: Tensor) -> Tensor:
        """(B, K + 1) int32: as `table_starts`, after neighbours (B, 10) int64 in the order of NEIGHBOURS."""
        first_bias, second, second_bias, last, last_bias = self._dense
        rows = neighbours + (self.codes + 1) * torch.arange(
            len(NEIGHBOURS), device=neighbours.device
        )
        hidden = _activation(embedding_bag(rows, self._first_sums, mode="sum") + first_bias)
        hidden = (hidden + _activation(hidden @ second + second_bias)).clamp_max(
            (1 << ACTIVATION_BITS) - 1
        )
        return intervals(hidden @ last + last_bias)

    @property
    def largest_sum(self) -> int:
        """The most that any sum in the network can come to, whatever the neighbours are; float32 is exact below EXACT."""
        highest = {
            "first": int(self.embedding.long().abs().max()),
            "second": (1 << ACTIVATION_BITS) - 1,
        }
        highest["last"] = highest["second"]
        layers = [getattr(self, name).long().abs().sum(1) * top for name, top in highest.items()]
        biases = [getattr(self, f"{name}_bias").long().abs() for name in highest]
        return max(int((layer + bias).max()) for layer, bias in zip(layers, biases, strict=True))

    def save(self, path: Path) -> None:
        """Write all into one safetensors file, atomically."""
        tensors = {name: tensor.contiguous() for name, tensor in self._tensors().items()}
        write_atomic(
            path, save(tensors, {"tokenizer": self.tokenizer, "kind": json.dumps("entropy")})
        )


def _activation(sums: Tensor) -> Tensor:
    """Whole numbers 0..255 from sums of products."""
    return (sums / (1 << HIDDEN_SHIFT)).floor().clamp(0, (1 << ACTIVATION_BITS) - 1)


def intervals(scores: Tensor) -> Tensor:
    """Starts (B, K + 1) int32 of intervals as wide as scores (B, K), whole numbers in float32, ask for: at least 1 each, TOTAL
    in all. A score's power of two is taken linearly between whole exponents, in the bits of a float."""
    below = (scores.amax(1, keepdim=True) - scores).clamp_max(BITS << SCORE_BITS).int()
    weights = ((127 + BITS << 23) - (below << 23 - SCORE_BITS)).view(torch.float32).floor().double()
    # Numerators stay below 2**40 and sums below 2**31, so that no quotient rounds up to the next whole number.
    wanted = weights * (TOTAL - scores.shape[1]) / weights.sum(1, keepdim=True)
    starts = pad((wanted.int() + 1).cumsum(1, dtype=torch.int32), (1, 0))
    starts[:, -1] = TOTAL
    return starts


def neighbours_of(tokens: Tensor, codes: int) -> Tensor:
    """(B, H, W, 10) int64: the codes around every token of grids (B, H, W), K beyond the border, in the order of NEIGHBOURS."""
    _, height, width = tokens.shape
    framed = pad(tokens.long(), (REACH, REACH, REACH, 0), value=codes)
    views = [
        framed[:, REACH + y : REACH + y + height, REACH + x : REACH + x + width]
        for y, x in NEIGHBOURS
    ]
    return torch.stack(views, -1)


def load_entropy(path: Path) -> EntropyModel:
    """The model of a file that `EntropyModel.save` wrote.

    Raises:
        UserError: no such file, another kind of file, or weights with which machines could come to different numbers.
    """
    names = [field.name for field in fields(EntropyModel) if field.name != "tokenizer"]
    try:
        with safe_open(path, "pt") as file:
            model = EntropyModel(
                file.metadata()["tokenizer"], **{name: file.get_tensor(name) for name in names}
            )
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: no entropy model ({type(error).__name__}); write one with python -m seit_cl.tokenize "
            "entropy"
        ) from error
    if model.largest_sum >= EXACT:
        raise UserError(
            f"{path}: its weights are too large to be the same on every machine; fit it anew with python -m "
            "seit_cl.tokenize entropy"
        )
    return model
