"""Data sets as plugins: one file for each layout or format that images come in.

Names are imported when they are used, so that reading the options of a run imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seit_cl.core.lazy import lazy_names

if TYPE_CHECKING:
    from seit_cl.datasets._opening import list_data, open_data
    from seit_cl.datasets._torch_dataset import from_torch
else:
    __getattr__ = lazy_names(
        __name__,
        {"from_torch": "_torch_dataset", "list_data": "_opening", "open_data": "_opening"},
    )

__all__ = ["from_torch", "list_data", "open_data"]
