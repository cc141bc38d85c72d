"""The folder of caches."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder that holds all caches: SEIT_CL_CACHE, else ~/.cache/seit_cl."""
    return Path(os.environ.get("SEIT_CL_CACHE") or Path.home() / ".cache" / "seit_cl")
