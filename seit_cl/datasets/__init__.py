"""Data sets as plugins: one file for each layout or format that images come in.

Names are imported when they are used, so that reading the options of a run imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seit_cl.datasets._opening import list_data, open_data
    from seit_cl.datasets._torch_dataset import from_torch

__all__ = ["from_torch", "list_data", "open_data"]

_PLACES = {
    "from_torch": "seit_cl.datasets._torch_dataset",
    "list_data": "seit_cl.datasets._opening",
    "open_data": "seit_cl.datasets._opening",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
