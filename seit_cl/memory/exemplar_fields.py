"""Exemplar fields: tensors of fixed dtype and shape that a strategy stores with every exemplar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.core.errors import UserError

LARGEST = 2**30  # bytes of one field of an exemplar


@dataclass(frozen=True)
class TensorSpec:
    """Dtype and shape of one field.

    Args:
        dtype: name of a numpy dtype, e.g. "float16".
        shape: per exemplar, e.g. (C,).

    Raises:
        UserError: not a numeric dtype.
    """

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        try:
            numeric = np.dtype(self.dtype).kind in "biuf"
        except TypeError:
            numeric = False
        if not numeric:
            raise UserError(
                f"{self.dtype!r} is not a dtype that a memory can store; use e.g. 'float16'"
            )

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The little-endian numpy dtype."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def nbytes(self) -> int:
        """Bytes per exemplar."""
        return math.prod(self.shape) * self.numpy.itemsize


def write_fields(fields: Mapping[str, TensorSpec]) -> str:
    """Format the specs of fields as text, e.g. "logits=float16:10;step=int32:".

    Raises:
        ValueError: a name that is not an identifier.
    """
    if not all(name.isidentifier() for name in fields):
        raise ValueError(f"exemplar fields {sorted(fields)}: names must be identifiers")
    parts = []
    for name, spec in fields.items():
        shape = "x".join(map(str, spec.shape))
        parts.append(f"{name}={spec.dtype}:{shape}")
    return ";".join(parts)


def read_fields(text: str) -> dict[str, TensorSpec]:
    """Parse the text of `write_fields`.

    Raises:
        ValueError: a field of a negative side, or of more bytes than any exemplar has.
    """
    fields = {}
    for part in filter(None, text.split(";")):
        name, _, spec = part.partition("=")
        dtype, _, shape = spec.partition(":")
        fields[name] = TensorSpec(dtype, tuple(int(side) for side in shape.split("x") if side))
        if min(fields[name].shape, default=0) < 0 or fields[name].nbytes > LARGEST:
            raise ValueError(f"exemplar field {part!r}")
    return fields


def field_arrays(
    extras: Mapping[str, Tensor],
    fields: Mapping[str, TensorSpec],
    count: int,
    complete: bool = False,
) -> dict[str, NDArray[np.generic]]:
    """Convert values of fields to arrays of the fields' dtypes.

    Args:
        extras: values (B, *shape) by field.
        fields: the specs.
        count: number of exemplars B.
        complete: True if every field needs values.

    Raises:
        ValueError: an unknown field, values of another shape, or a missing field if `complete`.
    """
    if set(extras) - set(fields) or (complete and set(fields) - set(extras)):
        raise ValueError(f"extras {sorted(extras)}, but the memory stores {sorted(fields)}")
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, values in extras.items():
        expected = (count, *fields[name].shape)
        if tuple(values.shape) != expected:
            raise ValueError(f"extra {name!r} has shape {tuple(values.shape)}, not {expected}")
        arrays[name] = values.detach().cpu().numpy().astype(fields[name].numpy)
    return arrays
