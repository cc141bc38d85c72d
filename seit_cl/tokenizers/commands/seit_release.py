"""`python -m seit_cl.tokenize import-seit|export-seit`: SeiT releases to token files and back."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from seit_cl.core.errors import UserError
from seit_cl.core.progress import images_bar
from seit_cl.data.seit.export import export_release
from seit_cl.data.seit.release import read_release
from seit_cl.data.token_file import open_token_file, write_token_file
from seit_cl.tokenizers.commands.options import ExportSeit, ImportSeit


def import_command(options: ImportSeit) -> None:
    """Run `tokenize import-seit`.

    Raises:
        UserError: files that are missing, damaged or contradict one another, or a file that cannot
            be written.
    """
    if options.out.suffix != ".safetensors":
        raise UserError(f"--out {options.out}: must end in .safetensors")
    names = None if options.classes is None else _read_names(options.classes)
    console = Console(soft_wrap=True)
    with images_bar("reading", None, console) as advance:
        release = read_release(options.release, options.grid, names, advance)
        identity = write_token_file(
            options.out, release.metadata, release.grid, release.splits, source=options.release
        )
    counts = ", ".join(f"{len(split.labels):,} {name}" for name, split in release.splits.items())
    _, height, width = release.grid
    console.print(
        f"wrote {options.out}: {counts} images of {height} x {width} tokens, identity {identity}",
        markup=False,
        highlight=False,
    )
    for file in release.remarks:
        console.print(
            f"{file}: laid out otherwise than expected; export-seit will write the same contents "
            "in other bytes"
        )


def _read_names(file: Path) -> list[str]:
    """Read class names, one per line.

    Raises:
        UserError: not a readable text file.
    """
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(
            f"--classes {file}: not a readable text file; give one name per line"
        ) from error


def export_command(options: ExportSeit) -> None:
    """Run `tokenize export-seit`.

    Raises:
        UserError: not a token file, one that the format cannot hold, or a folder that cannot be
            written.
    """
    if not 0 <= options.level <= 9:
        raise UserError(f"--level {options.level}: must be from 0 to 9")
    file = open_token_file(options.tokens)
    console = Console(soft_wrap=True)
    images = sum(len(tokens) for tokens in file.tokens.values())
    with images_bar("writing", images, console) as advance:
        export_release(file, options.out, options.level, advance)
    console.print(f"wrote {options.out}", markup=False, highlight=False)
