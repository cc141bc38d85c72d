"""Checkpoints that others wrote with torch.save: tensors and plain containers of them; nothing is unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from seit_cl.errors import UserError


def load_tensors(path: Path) -> Any:
    """What torch.save wrote of tensors, numbers, strings and containers of them, on the CPU.

    Raises:
        UserError: no such file, a damaged one, or one that holds a pickled object.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a checkpoint of torch.save")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error):
            raise UserError(f"{path}: not a checkpoint of torch.save, or a damaged one; get it again") from error
        raise UserError(
            f"{path}: holds a pickled object, which could run any code, and is not opened; where you trust it, save its weights "
            "with the code that it needs: torch.save(torch.load(OLD, weights_only=False).state_dict(), NEW), and give NEW"
        ) from error
    except Exception as error:
        raise UserError(f"{path}: no checkpoint of torch.save, or damaged ({type(error).__name__}); get it again") from error
