"""One commit: memory under a versioned name first, then checkpoint.pt that names it with its hash, by rename."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from seit_cl.errors import UserError
from seit_cl.memory.buffer import ByteBudgetBuffer, Transform
from seit_cl.results import write_atomic

NAME = "checkpoint.pt"


def commit(run_dir: Path, step: int, memory: ByteBudgetBuffer | None, state: dict[str, Any]) -> None:
    """Make the state after experience `step` the one that a resumed run continues from.

    Args:
        run_dir: the run's folder.
        step: index of the finished experience.
        memory: saved as memory-<step>.bin first.
        state: tensors, numbers, strings and lists of them (torch.load reads them with weights_only).
    """
    if memory is not None:
        path = run_dir / f"memory-{step}.bin"
        memory.save(path)
        state = {**state, "memory": path.name, "memory_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    buffer = io.BytesIO()
    torch.save({**state, "step": step}, buffer)
    write_atomic(run_dir / NAME, buffer.getvalue())
    for old in run_dir.glob("memory-*.bin"):
        if old.name != state.get("memory"):
            old.unlink()


def restore(run_dir: Path, transform: Transform | None) -> tuple[dict[str, Any], ByteBudgetBuffer | None] | None:
    """The last commit, or None where there is none; `transform` is the memory's (it is not saved).

    Raises:
        UserError: the checkpoint cannot be read or its memory is not the one that it names.
    """
    path = run_dir / NAME
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise UserError(f"{path}: not a readable checkpoint ({type(error).__name__}); delete {run_dir} to start over") from error
    if "memory" not in state:
        return state, None
    saved = run_dir / state["memory"]
    if not saved.exists() or hashlib.sha256(saved.read_bytes()).hexdigest() != state["memory_sha256"]:
        raise UserError(f"{saved}: missing or changed since the checkpoint; delete {run_dir} to start over")
    return state, ByteBudgetBuffer.load(saved, transform)


def close(run_dir: Path) -> None:
    """After the last experience: the memory takes its final name and the checkpoint goes."""
    for saved in run_dir.glob("memory-*.bin"):
        saved.replace(run_dir / "memory.bin")
    (run_dir / NAME).unlink(missing_ok=True)
