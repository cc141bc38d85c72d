"""Files of learnt maps for token augmentation: written, and read with every check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.tensor_files import TensorFile, read_tensor_file, write_tensor_file
from seit_cl.learner.augment.token_adapt import TokenAdapter

KIND = "seit_cl token adapter"
MOST_CHANNELS = 4096  # width and styles of a file
AGAIN = "get it again, or make it with python -m seit_cl.tokenize adapt"


def save_adapter(
    path: Path, adapter: TokenAdapter, tokenizer: str, made: Mapping[str, str | int | float]
) -> None:
    """Write a map.

    Args:
        path: a .safetensors file.
        adapter: the map.
        tokenizer: identity of the tokenizer whose codes it maps.
        made: how it was made, for people.
    """
    metadata = {
        "kind": KIND,
        "tokenizer_identity": tokenizer,
        "shapes": json.dumps(adapter.shapes()),
        "made": json.dumps(dict(made)),
    }
    write_tensor_file(path, adapter.state_dict(), metadata)


def read_adapter(path: Path, tokenizer: str, dim: int, groups: int, codes: int) -> TokenAdapter:
    """Read a map, which is not trained any more.

    Args:
        path: the file.
        tokenizer: identity of the tokenizer of a run.
        dim: D of its embeddings.
        groups: G.
        codes: K.

    Raises:
        UserError: no such file, one of another kind or tokenizer, or a damaged one.
    """
    if not path.is_file():
        raise UserError(f"--token-adapt {path}: no such file; {AGAIN}")
    try:
        file = read_tensor_file(path, AGAIN)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"--token-adapt {path}: not a readable safetensors file ({type(error).__name__}); "
            f"{AGAIN}"
        ) from error
    if file.metadata.get("kind") != KIND:
        raise UserError(f"--token-adapt {path}: no map of tokens; {AGAIN}")
    made_for = file.metadata.get("tokenizer_identity", "")
    if made_for != tokenizer:
        raise UserError(
            f"--token-adapt {path}: maps tokens of the tokenizer {made_for}, and the run has "
            f"{tokenizer}; make one for it with python -m seit_cl.tokenize adapt"
        )
    return _filled(path, file, dim, groups, codes)


def _filled(path: Path, file: TensorFile, dim: int, groups: int, codes: int) -> TokenAdapter:
    """Build the map of a file, whose tensors are compared before memory is taken for it.

    Raises:
        UserError: naming the tensor that does not fit.
    """
    styles = file.tensors.get("styles", torch.empty(0))
    if styles.ndim != 3 or not 0 < len(styles) <= MOST_CHANNELS:
        raise UserError(f"--token-adapt {path}: its styles do not fit; {AGAIN}")
    width = styles.shape[2]
    if not 0 < width <= MOST_CHANNELS:
        raise UserError(f"--token-adapt {path}: {width} features do not fit; {AGAIN}")
    with torch.device("meta"):
        adapter = TokenAdapter(dim, groups, codes, width, len(styles))
    own = adapter.state_dict()
    for name in sorted(own.keys() | file.tensors.keys()):
        if name not in own or not _fits(file.tensors.get(name), own[name]):
            raise UserError(f"--token-adapt {path}: its {name} does not fit; {AGAIN}")
    tensors = {name: tensor.clone() for name, tensor in file.tensors.items()}
    adapter.load_state_dict(tensors, assign=True)
    return adapter.requires_grad_(False).eval()


def _fits(found: Tensor | None, expected: Tensor) -> bool:
    """Return True for finite float32 values of the expected shape."""
    if found is None or found.shape != expected.shape or found.dtype != torch.float32:
        return False
    return bool(found.isfinite().all())
