"""A network of an entropy model that takes a few kilobytes: the tokenizer's vectors are in it.

Where a network has a vector of its own for every code, once as a neighbour and once to be scored,
most of its bytes are these vectors. Here both are the codebook of the tokenizer, rounded to eight
bits, as weights of input and output are tied in language models (Press and Wolf, EACL 2017). A
learner of tokens has the codebook already, so that it is not counted among the model's bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from seit_cl.formats.entropy.columns import EARLIER
from seit_cl.formats.entropy.network import CodeNetwork

MAX_SIZE = 64  # numbers of a vector; larger ones would make the first layer large, and inexact
FREQUENCY_SHIFT = 7  # stored frequencies are in units of 2**7 scores, 2**-4 bits
MAX_WEIGHT = 127
OWN = (
    "border",
    "first",
    "first_bias",
    "second",
    "second_bias",
    "out",
    "out_bias",
    "frequencies",
)
TENSORS = ("vectors", *OWN)


@dataclass(frozen=True)
class CompactModel:
    """The network of one code of a position, with the tokenizer's vectors in it.

    Args:
        vectors: (K, D) int8, the rounded codebook; see `rounded_vectors`.
        border: (D,) int8, in the place of a neighbour beyond the grid.
        first, first_bias: (M, (10 + P) D) int8 and (M,) int32, the first hidden layer; the bias
            is (N, M) for sequences of N tokens.
        second, second_bias: (M, M) int8 and (M,) int32, the second.
        out, out_bias: (D, M) int8 and (D,) int32, whose products with the codes' vectors
            are their scores.
        frequencies: (K,) int8, added to the scores, in units of 2**-4 bits.
        earlier: (P, K, D) int8, vectors of the codes of the same position that come before, the
            latest first; None for a position's first code. They are the vectors of other codes'
            models, and no part of this one's file.
    """

    vectors: Tensor
    border: Tensor
    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor
    out: Tensor
    out_bias: Tensor
    frequencies: Tensor
    earlier: Tensor | None = None

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The stored tensors by name."""
        return {name: getattr(self, name) for name in TENSORS}

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that are not the tokenizer's."""
        own = [getattr(self, name) for name in OWN]
        return sum(tensor.nbytes for tensor in own)

    @cached_property
    def network(self) -> CodeNetwork:
        """The network that codes with this model."""
        return CodeNetwork(
            embedding=torch.cat([self.vectors, self.border[None]]),
            first=self.first,
            first_bias=self.first_bias,
            second=self.second,
            second_bias=self.second_bias,
            last=self.vectors,
            last_bias=self.frequencies.int() << FREQUENCY_SHIFT,
            earlier=self.earlier,
            out=self.out,
            out_bias=self.out_bias,
        )

    def on(self, device: torch.device) -> CompactModel:
        """The same model on a device."""
        moved: dict[str, Any] = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        earlier = None if self.earlier is None else self.earlier.to(device)
        return CompactModel(**moved, earlier=earlier)


def rounded_vectors(codebook: Tensor) -> Tensor:
    """Vectors (K, D) int8 of a codebook (K, D), whose largest number becomes 127.

    One division and one product in float32, so that every machine rounds alike.
    """
    numbers = codebook.float()
    largest = numbers.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    return (numbers / largest * MAX_WEIGHT).round().to(torch.int8)


def with_earlier(models: Sequence[CompactModel]) -> list[CompactModel]:
    """Models of all codes of a position, each with the vectors of the codes before it."""
    complete: list[CompactModel] = []
    for group, model in enumerate(models):
        before = models[max(0, group - EARLIER) : group]
        earlier = [other.vectors for other in reversed(before)]
        stacked = torch.stack(earlier) if earlier else None
        complete.append(replace(model, earlier=stacked))
    return complete


def identity_of(models: Sequence[CompactModel]) -> bytes:
    """Eight bytes that change with any number of the models of all codes of a position."""
    digest = hashlib.sha256()
    for model in models:
        for tensor in model.tensors.values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.digest()[:8]


def read_compact(tensors: Mapping[str, Tensor], prefix: str) -> CompactModel | None:
    """The model in a file's tensors, named e.g. "1.compact.first"; None where there is none.

    Raises:
        KeyError: a part of its tensors is missing.
    """
    prefix = f"{prefix}compact."
    if f"{prefix}vectors" not in tensors:
        return None
    own: dict[str, Any] = {name: tensors[prefix + name] for name in TENSORS}
    return CompactModel(**own)
