"""Checkpoints that others wrote with torch.save: tensors and plain containers of them; nothing is unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.errors import UserError


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
        if "Unsupported global" not in str(error) and "Unsupported class" not in str(error):
            raise UserError(
                f"{path}: no checkpoint of torch.save, or damaged; get it again"
            ) from error
        raise UserError(
            f"{path}: holds a pickled object, which could run any code, and is not opened; where you trust it, save its weights "
            "with the code that it needs: torch.save(torch.load(OLD, weights_only=False).state_dict(), NEW), and give NEW"
        ) from error
    except Exception as error:
        raise UserError(
            f"{path}: no checkpoint of torch.save, or damaged ({type(error).__name__}); get it again"
        ) from error


# What the keys of published checkpoints begin with; the first entry of which all are there says what a checkpoint is. As these
# projects' modules are named in public; add a line for another kind.
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "ViT-VQGAN, enhancing-transformers",
        ("encoder.transformer.", "decoder.transformer.", "quantizer.embedding."),
    ),
    ("VQModel, diffusers", ("encoder.down_blocks.", "decoder.up_blocks.", "quantize.embedding.")),
    ("VQGAN, taming-transformers", ("encoder.down.", "decoder.up.", "quantize.embedding.")),
)


def tensors_of(loaded: Any) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name: its own, or those under "state_dict" or "model"; empty where it has none."""
    if isinstance(loaded, Tensor):
        return {"": loaded}
    if not isinstance(loaded, Mapping):
        return {}
    for name in ("state_dict", "model"):
        if isinstance(loaded.get(name), Mapping):
            return tensors_of(loaded[name])
    return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}


def kind_of(names: Iterable[str]) -> str:
    """What a checkpoint with tensors of these names is; "" where nobody knows."""
    known = list(names)
    return next(
        (
            kind
            for kind, starts in KINDS
            if all(any(n.startswith(start) for n in known) for start in starts)
        ),
        "",
    )
