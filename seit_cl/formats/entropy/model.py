"""Probability of each code of a tokenizer after its neighbours, in integers.

It has two parts, both fitted ahead of time (`python -m seit_cl.tokenize entropy`) to images that no
memory stores.

- Tables: codes are grouped; a code's score is a sum of two entries, one for the group of its left
  neighbour and one for that of its upper neighbour.
- Network: a small perceptron on the ten neighbours that come before a token, as in PixelRNN (van
  den Oord et al., ICML 2016), with weights of eight bits.

Where a position has several codes, each has a model of its own, which also knows codes of the
position that come before. A sequence of tokens has no neighbours above; there the place in the
sequence counts.

No decision depends on rounding. Weights are integers below 2**7 and activations below 2**8, held in
float32; their sums stay below 2**24 and are exact in any order, so all machines get the same
numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from seit_cl.core.errors import UserError
from seit_cl.core.notes import note_no_digest
from seit_cl.core.tensor_files import read_tensor_file, write_tensor_file
from seit_cl.formats.entropy.columns import EARLIER, NEIGHBOURS
from seit_cl.formats.entropy.range_coder import BITS, TOTAL

MAX_GROUPS = 256  # codes of a position
SCORE_BITS = 11  # a score is a binary logarithm in units of 2**-11
ACTIVATION_BITS = 8  # activations are 0..255
HIDDEN_SHIFT = 6  # sums of products are shifted right by it to become activations
MAX_ACTIVATION = (1 << ACTIVATION_BITS) - 1
EXACT = 1 << 24  # integers below it, and their sums in any order, are exact in float32
TABLE_SHIFT = 8  # tables hold scores in units of 2**-3
AGAIN = "fit it again with python -m seit_cl.tokenize entropy"
# Names of a model's tensors, in the order in which they are hashed.
TENSORS = (
    "left_groups",
    "upper_groups",
    "left",
    "upper",
    "embedding",
    "first",
    "first_bias",
    "second",
    "second_bias",
    "last",
    "last_bias",
)
TABLES = ("left_groups", "upper_groups", "left", "upper", "table_pair")
OPTIONAL = ("earlier", "table_pair")  # not all models have them


@dataclass(frozen=True)
class EntropyModel:
    """Probabilities of a tokenizer's codes, as tables and as a network with two hidden layers.

    What is known about a token has columns: its ten NEIGHBOURS, where code K stands for the border
    of a grid; up to EARLIER codes of the same position, the latest first; and for sequences its
    place in the sequence.

    Args:
        tokenizer: the tokenizer's identity.
        left_groups, upper_groups: (K + 1,) int64, group 0..T-1 of each code as a left and as an
            upper neighbour, or of each value of the other columns in `table_pair`.
        left, upper: (T, K) int8, scores of every code next to a neighbour of each group.
        embedding: (K + 1, E) int8, of every code as a neighbour.
        first, first_bias: (M, 10 E) int8 and (M,) int32, the first hidden layer.
        second, second_bias: (M, M) int8 and (M,) int32, the second.
        last, last_bias: (K, M) int8 and (K,) int32, scores of the codes.
        earlier: (P, K, E) int8, of every code of the same position that comes before; `first` is
            (M, (10 + P) E) then. None in the model of a position's first code.
        table_pair: (2,) int64, the columns that the tables are about; None: the first two.
        further: models of the further codes of a position.

    For sequences of N tokens, first_bias is (N, M).
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
    earlier: Tensor | None = None
    table_pair: Tensor | None = None
    further: tuple[EntropyModel, ...] = ()

    @property
    def parts(self) -> tuple[EntropyModel, ...]:
        """Models of each code of a position, this one first."""
        return self, *self.further

    @property
    def codes(self) -> int:
        """Size of the codebook K."""
        return len(self.last)

    @property
    def length(self) -> int:
        """Number of tokens N of a sequence; 0 for grids."""
        return len(self.first_bias) if self.first_bias.ndim == 2 else 0

    @property
    def known(self) -> int:
        """Number of codes that `earlier` is about, P."""
        return 0 if self.earlier is None else len(self.earlier)

    @cached_property
    def table_columns(self) -> tuple[int, int]:
        """The two columns that the tables are about."""
        if self.table_pair is None:
            return 0, 1
        first, second = self.table_pair.tolist()
        return first, second

    @property
    def columns(self) -> int:
        """Number of columns that the network takes."""
        return len(NEIGHBOURS) + self.known + (self.length > 0)

    def first_codes(self, groups: int) -> EntropyModel:
        """Make the model of the first codes of a position; the further ones do not change it."""
        return replace(self, further=self.further[: groups - 1])

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self._tensors().values())

    @property
    def table_bytes(self) -> int:
        """Bytes of the tensors that coding with tables needs."""
        tensors = self._tensors()
        return sum(tensors[name].nbytes for name in tensors if _is_of_tables(name))

    @property
    def network_bytes(self) -> int:
        """Bytes of the tensors that coding with the network needs."""
        return self.nbytes - self.table_bytes

    @cached_property
    def identity(self) -> bytes:
        """Eight bytes that change with any number of the model; a record needs its own model."""
        digest = hashlib.sha256()
        for tensor in self._tensors().values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.digest()[:8]

    def _tensors(self) -> dict[str, Tensor]:
        """All tensors by name; those of a further code's model are named e.g. "1.left"."""
        tensors = self._own_tensors()
        for number, part in enumerate(self.further, 1):
            for name, tensor in part._own_tensors().items():
                tensors[f"{number}.{name}"] = tensor
        return tensors

    def _own_tensors(self) -> dict[str, Tensor]:
        tensors = {name: getattr(self, name) for name in (*TENSORS, *OPTIONAL)}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}

    @cached_property
    def _copies(self) -> dict[torch.device, EntropyModel]:
        return {self.last.device: self}

    def on(self, device: torch.device) -> EntropyModel:
        """The same model on a device, copied there once."""
        if device not in self._copies:
            tensors: dict[str, Any] = {}
            for name, tensor in self._own_tensors().items():
                tensors[name] = tensor.to(device)
            further = tuple(part.on(device) for part in self.further)
            self._copies[device] = EntropyModel(self.tokenizer, **tensors, further=further)
        return self._copies[device]

    @cached_property
    def table_starts(self) -> Tensor:
        """Interval starts by left and upper group: (T * T, K + 1) int32, TOTAL last."""
        sums = self.left[:, None].float() + self.upper[None].float()
        return intervals(sums.reshape(-1, self.codes) * (1 << TABLE_SHIFT))

    def table_context(self, left: Tensor, upper: Tensor) -> Tensor:
        """Rows (B,) of `table_starts` for left and upper neighbours (B,), or `table_columns`."""
        return self.left_groups[left] * len(self.upper) + self.upper_groups[upper]

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
    def _dense(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """First bias; transposed weights and bias of the second and of the last layer; float32."""
        return (
            self.first_bias.float(),
            self.second.float().T.contiguous(),
            self.second_bias.float(),
            self.last.float().T.contiguous(),
            self.last_bias.float(),
        )

    def network_starts(self, neighbours: Tensor) -> Tensor:
        """Interval starts of all codes after their neighbours: (B, K + 1) int32, TOTAL last.

        Args:
            neighbours: (B, 10) int64, in the order of NEIGHBOURS, or all columns (B, `columns`).
        """
        first_bias, second, second_bias, last, last_bias = self._dense
        if self.length:
            first_bias = first_bias[neighbours[:, -1]]
            neighbours = neighbours[:, :-1]
        rows = neighbours + self._first_rows
        hidden = _activation(embedding_bag(rows, self._first_sums, mode="sum") + first_bias)
        residual = _activation(hidden @ second + second_bias)
        hidden = (hidden + residual).clamp_max(MAX_ACTIVATION)
        return intervals(hidden @ last + last_bias)

    @property
    def largest_sum(self) -> int:
        """Bound of every sum in the network for any neighbours; float32 is exact below EXACT."""
        largest_embedding = int(self.embedding.long().abs().max())
        if self.earlier is not None:
            largest_embedding = max(largest_embedding, int(self.earlier.long().abs().max()))
        return max(
            *(part.largest_sum for part in self.further),
            _largest_sum(self.first, self.first_bias, largest_embedding),
            _largest_sum(self.second, self.second_bias, MAX_ACTIVATION),
            _largest_sum(self.last, self.last_bias, MAX_ACTIVATION),
        )

    def save(self, path: Path) -> None:
        """Write the model into one safetensors file, atomically."""
        metadata = {"tokenizer": self.tokenizer, "kind": json.dumps("entropy")}
        write_tensor_file(path, self._tensors(), metadata)


def _is_of_tables(name: str) -> bool:
    """True for a tensor of the tables, also of a further code's model, e.g. "1.left"."""
    return name.rpartition(".")[2] in TABLES


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


def _model_of(tokenizer: str, tensors: Mapping[str, Tensor]) -> EntropyModel:
    """Make the model of a file's tensors.

    Raises:
        Exception: any, where they make none.
        ValueError: naming what does not fit.
    """
    count = len([name for name in tensors if name.endswith(".left")])
    parts = []
    for number in range(min(count, MAX_GROUPS) + 1):
        prefix = f"{number}." if number else ""
        own: dict[str, Any] = {name: tensors[prefix + name] for name in TENSORS}
        for name in OPTIONAL:
            own[name] = tensors.get(prefix + name)
        part = EntropyModel(tokenizer, **own)
        if part.known != min(number, EARLIER) or part.codes != len(tensors["last"]):
            raise ValueError(f"code {number} of a position")
        if not all(0 <= column < part.columns for column in part.table_columns):
            raise ValueError("columns of tables")
        parts.append(part)
    return replace(parts[0], further=tuple(parts[1:]))


def load_entropy(path: Path) -> EntropyModel:
    """Read a file that `EntropyModel.save` wrote.

    Raises:
        UserError: no such file, a damaged one, another kind of file, or weights so large that
            machines could compute different numbers.
    """
    try:
        file = read_tensor_file(path, AGAIN)
        model = _model_of(file.metadata["tokenizer"], file.tensors)
        is_exact = model.largest_sum < EXACT
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{path}: no entropy model ({type(error).__name__}); write one with "
            "python -m seit_cl.tokenize entropy"
        ) from error
    if not is_exact:
        raise UserError(
            f"{path}: its weights are too large to give the same numbers on every machine; {AGAIN}"
        )
    if not file.has_digest:
        note_no_digest(path)
    return model
