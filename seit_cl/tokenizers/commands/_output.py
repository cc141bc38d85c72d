"""The output file of a command, checked before the work begins."""

from __future__ import annotations

from pathlib import Path

from seit_cl.core.errors import UserError
from seit_cl.core.files import sweep


def prepare_output(out: Path, example: str) -> None:
    """Refuse an output that cannot be a file, and make its folder.

    Args:
        out: value of --out.
        example: file name for the message.

    Raises:
        UserError: the output is a folder, or its folder cannot be made.
    """
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; give the file to write, e.g. {example}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--out {out}: cannot be written ({error.strerror}); choose another place"
        ) from error
    sweep_output(out)


def sweep_output(out: Path) -> None:
    """Delete what killed processes have left of an output and of the files beside it."""
    for name in (out.name, f"{out.name}.training", f"{out.name}.teacher", f"{out.stem}.png"):
        sweep(out.parent, name)
