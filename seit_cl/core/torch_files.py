"""Files of torch.save from other projects, read without unpickling objects."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from seit_cl.core.errors import UserError

# Phrases in torch.load's error for a file that cannot be unpickled safely.
PICKLED_OBJECT = ("Unsupported global", "Unsupported class")


def load_tensors(path: Path) -> Any:
    """Load a file of torch.save on the CPU: tensors, numbers, strings and containers of them.

    Raises:
        UserError: no such file, a damaged one, or one that holds a pickled object.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a checkpoint of torch.save")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if any(words in str(error) for words in PICKLED_OBJECT):
            raise UserError(
                f"{path}: holds a pickled object, which could run any code, and is not opened; "
                "where you trust it, save its weights with the code that it needs: "
                "torch.save(torch.load(OLD, weights_only=False).state_dict(), NEW), and give NEW"
            ) from error
        raise UserError(f"{path}: no checkpoint of torch.save, or damaged; get it again") from error
    except Exception as error:
        raise UserError(
            f"{path}: no checkpoint of torch.save, or damaged ({type(error).__name__}); "
            "get it again"
        ) from error
