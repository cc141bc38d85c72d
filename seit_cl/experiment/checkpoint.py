"""Commits of a run: the memory under a versioned name, then checkpoint.pt with its digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seit_cl.core.errors import UserError
from seit_cl.core.torch_files import load_state, save_state
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.memory.buffer import ByteBudgetBuffer, Transform
from seit_cl.results.names import CHECKPOINT

NAME = CHECKPOINT
FINAL = "memory.bin"
# Raise the number whenever an older checkpoint could not be continued.
KIND = "seit_cl checkpoint 4"


def commit(
    run_dir: Path, experience: int, memory: ByteBudgetBuffer | None, state: dict[str, Any]
) -> None:
    """Make the state after an experience the one that a resumed run continues from.

    Args:
        run_dir: the run's folder.
        experience: index of the finished experience.
        memory: saved as memory-<experience>.bin first.
        state: tensors, numbers, strings and lists of them, for torch.load with weights_only.
    """
    if memory is not None:
        path = run_dir / f"memory-{experience}.bin"
        memory.save(path)
        state = {**state, "memory": path.name, "memory_sha256": _sha256(path)}
    save_state(run_dir / NAME, {**state, "experience": experience, "kind": KIND})
    _delete_other_memories(run_dir, state)


def restore(
    run_dir: Path,
    transform: Transform | None,
    device: torch.device,
    entropy_model: Callable[[], EntropyModel] | None = None,
) -> tuple[dict[str, Any], ByteBudgetBuffer | None] | None:
    """Load the last commit, and delete the memories of interrupted ones.

    Args:
        run_dir: the run's folder.
        transform: of the memory's decoded data; like the next two not part of the memory's file.
        device: of the memory's batches.
        entropy_model: of the memory's format, if it needs one.

    Returns:
        State and memory, or None where there is no commit.

    Raises:
        UserError: the checkpoint cannot be read, or its memory's hash is another one.
    """
    path = run_dir / NAME
    if not path.exists():
        return None
    remedy = f"delete {run_dir} to start over"
    state = load_state(path, remedy)
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise UserError(f"{path}: not a checkpoint of this version of seit_cl; {remedy}")
    memory = None
    if "memory" in state:
        memory_path = _checked_memory(run_dir, state, remedy)
        memory = ByteBudgetBuffer.load(memory_path, transform, device, entropy_model)
    _delete_other_memories(run_dir, state)
    return state, memory


def _checked_memory(run_dir: Path, state: dict[str, Any], remedy: str) -> Path:
    """The memory file of a commit.

    Raises:
        UserError: it is missing or was changed.
    """
    name = state["memory"]
    if not isinstance(name, str) or not re.fullmatch(r"memory-\d+\.bin", name):
        raise UserError(f"{run_dir / NAME}: names no memory of a run; {remedy}")
    path = run_dir / name
    # A run that was interrupted while it finished has the memory under its final name.
    saved = path if path.exists() else run_dir / FINAL
    if not saved.exists() or _sha256(saved) != state.get("memory_sha256"):
        problem = "changed since" if path.exists() else "missing beside"
        raise UserError(f"{path}: {problem} {NAME}; {remedy}")
    return saved


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _delete_other_memories(run_dir: Path, state: dict[str, Any]) -> None:
    """Delete the memories of other commits."""
    for other in run_dir.glob("memory-*.bin"):
        if other.name != state.get("memory"):
            other.unlink()


def pending(run_dir: Path) -> bool:
    """True if a run has a checkpoint to resume from or to close."""
    return (run_dir / NAME).exists()


def name_memory(run_dir: Path) -> None:
    """Give the memory its final name, after the last experience."""
    for saved in run_dir.glob("memory-*.bin"):  # one, or none where it has been named before
        saved.replace(run_dir / FINAL)


def close(run_dir: Path) -> None:
    """Delete the checkpoint of a run whose results are complete."""
    (run_dir / NAME).unlink(missing_ok=True)
