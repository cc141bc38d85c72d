"""Probability of each code of a tokenizer after its neighbours, in integers.

It has three parts, all fitted ahead of time (`python -m seit_cl.tokenize entropy`) to images that
no memory stores. A coder uses one of them.

- Tables: codes are grouped; a code's score is a sum of two entries, one for the group of its left
  neighbour and one for that of its upper neighbour.
- Network: a small perceptron on the ten neighbours that come before a token, as in PixelRNN (van
  den Oord et al., ICML 2016), with weights of eight bits.
- Compact network: a smaller one that takes the tokenizer's own vectors.

Where a position has several codes, each has a model of its own, which also knows codes of the
position that come before. A sequence of tokens has no neighbours above; there the place in the
sequence counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.notes import note_no_digest
from seit_cl.core.tensor_files import read_tensor_file, write_tensor_file
from seit_cl.formats.entropy.columns import EARLIER, NEIGHBOURS
from seit_cl.formats.entropy.compact import CompactModel, read_compact, with_earlier
from seit_cl.formats.entropy.network import EXACT, CodeNetwork, intervals

MAX_GROUPS = 256  # codes of a position
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
        compact: a network of a few kilobytes, beside the other; None in files of earlier releases
            and where the tokenizer's vectors are long.
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
    compact: CompactModel | None = None
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
        """Bytes of the tensors of tables and network."""
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
        """Eight bytes that change with any number of tables and network, which records need.

        The compact network has an identity of its own.
        """
        digest = hashlib.sha256()
        for tensor in self._tensors().values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.digest()[:8]

    def _tensors(self) -> dict[str, Tensor]:
        """Tensors of tables and network; those of a further code's are named e.g. "1.left"."""
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
            compact = None if self.compact is None else self.compact.on(device)
            further = tuple(part.on(device) for part in self.further)
            self._copies[device] = EntropyModel(
                self.tokenizer, **tensors, compact=compact, further=further
            )
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
    def network(self) -> CodeNetwork:
        """The network, which the coder `context` uses."""
        return CodeNetwork(
            embedding=self.embedding,
            first=self.first,
            first_bias=self.first_bias,
            second=self.second,
            second_bias=self.second_bias,
            last=self.last,
            last_bias=self.last_bias,
            earlier=self.earlier,
        )

    @property
    def networks(self) -> list[CodeNetwork]:
        """The networks of all codes of a position, and the compact ones."""
        found = [part.network for part in self.parts]
        compact = [part.compact for part in self.parts if part.compact is not None]
        return [*found, *(model.network for model in compact)]

    @property
    def largest_sum(self) -> int:
        """Bound of every sum in the networks for any columns; float32 is exact below EXACT."""
        return max(network.largest_sum for network in self.networks)

    @property
    def compact_parts(self) -> list[CompactModel]:
        """Compact models of each code of a position; none where one is missing."""
        found = [part.compact for part in self.parts if part.compact is not None]
        return found if len(found) == len(self.parts) else []

    def save(self, path: Path) -> None:
        """Write the model into one safetensors file, atomically."""
        metadata = {"tokenizer": self.tokenizer, "kind": json.dumps("entropy")}
        tensors = self._tensors()
        for number, model in enumerate(self.compact_parts):
            prefix = f"{number}." if number else ""
            for name, tensor in model.tensors.items():
                tensors[f"{prefix}compact.{name}"] = tensor
        write_tensor_file(path, tensors, metadata)


def _is_of_tables(name: str) -> bool:
    """True for a tensor of the tables, also of a further code's model, e.g. "1.left"."""
    return name.rpartition(".")[2] in TABLES


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
        parts.append(replace(part, compact=read_compact(tensors, prefix)))
    return joined(parts)


def joined(parts: Sequence[EntropyModel]) -> EntropyModel:
    """One model of the models of each code of a position."""
    complete = list(parts)
    compact = [part.compact for part in parts if part.compact is not None]
    if len(compact) == len(parts):
        known = with_earlier(compact)
        complete = [replace(part, compact=own) for part, own in zip(parts, known, strict=True)]
    return replace(complete[0], further=tuple(complete[1:]))


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
