"""One commit: memory under a versioned name first, then checkpoint.pt that names it with its hash, by rename."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.memory.buffer import ByteBudgetBuffer, Transform

NAME = "checkpoint.pt"
FINAL = "memory.bin"
KIND = (
    "seit_cl checkpoint 3"  # raise the number whenever an older checkpoint could not be continued
)


def commit(
    run_dir: Path, step: int, memory: ByteBudgetBuffer | None, state: dict[str, Any]
) -> None:
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
        state = {
            **state,
            "memory": path.name,
            "memory_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
    buffer = io.BytesIO()
    torch.save({**state, "step": step, "kind": KIND}, buffer)
    write_atomic(run_dir / NAME, buffer.getvalue())
    _sweep(run_dir, state)


def _sweep(run_dir: Path, state: dict[str, Any]) -> None:
    """Delete the memories of other commits."""
    for other in run_dir.glob("memory-*.bin"):
        if other.name != state.get("memory"):
            other.unlink()


def restore(
    run_dir: Path,
    transform: Transform | None,
    device: torch.device,
    entropy_model: Callable[[], EntropyModel] | None = None,
) -> tuple[dict[str, Any], ByteBudgetBuffer | None] | None:
    """The last commit, or None where there is none.

    `transform`, `device` and `entropy_model` are passed to `ByteBudgetBuffer.load`; a memory's file does not have them.

    What commits that did not come about have left is deleted.

    Raises:
        UserError: the checkpoint cannot be read or its memory is not the one that it names.
    """
    path = run_dir / NAME
    if not path.exists():
        return None
    mend = f"delete {run_dir} to start over"
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise UserError(
            f"{path}: not a readable checkpoint ({type(error).__name__}); {mend}"
        ) from error
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise UserError(f"{path}: not a checkpoint of this version of seit_cl; {mend}")
    memory = None
    if "memory" in state:
        named = run_dir / state["memory"]
        saved = (
            named if named.exists() else run_dir / FINAL
        )  # `close` may have been interrupted after its first half
        if (
            not saved.exists()
            or hashlib.sha256(saved.read_bytes()).hexdigest() != state["memory_sha256"]
        ):
            what = "changed since" if named.exists() else "missing beside"
            raise UserError(f"{named}: {what} {NAME}; {mend}")
        memory = ByteBudgetBuffer.load(saved, transform, device, entropy_model)
    _sweep(run_dir, state)
    return state, memory


def pending(run_dir: Path) -> bool:
    """Whether a run's checkpoint waits to be resumed, or closed."""
    return (run_dir / NAME).exists()


def close(run_dir: Path) -> None:
    """After the last experience: the memory takes its final name and the checkpoint goes."""
    for saved in run_dir.glob("memory-*.bin"):  # one, or none where this was interrupted before
        saved.replace(run_dir / FINAL)
    (run_dir / NAME).unlink(missing_ok=True)
