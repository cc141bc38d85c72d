"""Pickles of plain values and NumPy arrays, read without running what else they name."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np


class UnsafePickleError(pickle.UnpicklingError):
    """A pickle that names something other than plain values and arrays of numbers."""


def load_arrays(data: bytes) -> Any:
    """Read a pickle of dictionaries, lists, texts, numbers and arrays of numbers.

    Texts of Python 2 become str, as latin-1.

    Raises:
        UnsafePickleError: it names anything else.
        pickle.UnpicklingError, EOFError, ValueError, TypeError and others: it is damaged.
    """
    return _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that knows the functions by which arrays are rebuilt, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name in the pickle."""
        known = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): _number_type,
            ("_codecs", "encode"): _latin1,
        }
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _empty_array
        if (module, name) not in known:
            raise UnsafePickleError(f"it names {module}.{name}")
        return known[module, name]


def _empty_array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """The array that a pickle then fills with its bytes; its own arguments are not followed."""
    return np.empty((0,), np.uint8)


def _number_type(code: Any, *flags: Any) -> np.dtype:
    """The type of an array, of numbers only."""
    dtype = np.dtype(str(code))
    if dtype.kind not in "iufb":
        raise UnsafePickleError(f"an array of type {code}")
    return dtype


def _latin1(text: str, encoding: str) -> bytes:
    """The bytes that Python 3 writes as text in old pickles."""
    return str(text).encode("latin1")
