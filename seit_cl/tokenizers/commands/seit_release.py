"""`python -m seit_cl.tokenize import-seit|export-seit`: SeiT releases to token files and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console

from seit_cl.core.cli import hint
from seit_cl.core.errors import UserError
from seit_cl.core.progress import images_bar
from seit_cl.data.seit.export import LEVEL, export_release
from seit_cl.data.seit.release import read_release
from seit_cl.data.token_file import open_token_file, write_token_file


@dataclass(frozen=True)
class ImportSeit:
    """Turn the files of a SeiT release into a token file: train, val, or both, whichever are there."""

    release: Annotated[
        Path,
        hint("folder with NAME-train-token.data.bin.gz, its index and labels, and codebook.ckpt"),
    ]
    out: Annotated[Path, hint("safetensors file to write")]
    grid: Annotated[
        tuple[int, int] | None, hint("height and width of an image's tokens; none: square")
    ] = None
    classes: Annotated[
        Path | None, hint("text file of the classes' names, one a line; none: their numbers")
    ] = None


@dataclass(frozen=True)
class ExportSeit:
    """Write a token file in the format of the SeiT release."""

    tokens: Annotated[Path, hint("the token file")]
    out: Annotated[Path, hint("folder to make")]
    level: Annotated[int, hint("zlib's level, 0 to 9")] = LEVEL


def import_command(options: ImportSeit) -> None:
    """Run `tokenize import-seit`.

    Raises:
        UserError: files that are missing, damaged or disagree, or a file that cannot be written.
    """
    if options.out.suffix != ".safetensors":
        raise UserError(f"--out {options.out}: must end in .safetensors")
    names = None
    if options.classes is not None:
        try:
            names = options.classes.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"--classes {options.classes}: not a readable text file; give a name a line"
            ) from error
    console = Console(soft_wrap=True)
    with images_bar("reading", None, console) as more:
        release = read_release(options.release, options.grid, names, more)
        identity = write_token_file(options.out, release.metadata, release.grid, release.splits)
    counts = ", ".join(f"{len(split.labels):,} {name}" for name, split in release.splits.items())
    console.print(
        f"wrote {options.out}: {counts} images of {release.grid[1]} x {release.grid[2]} tokens, identity {identity}",
        markup=False,
        highlight=False,
    )
    for what in release.remarks:
        console.print(
            f"{what}: laid out otherwise than expected; export-seit will write the same contents in other bytes"
        )


def export_command(options: ExportSeit) -> None:
    """Run `tokenize export-seit`.

    Raises:
        UserError: not a token file, one that the format cannot hold, or a folder that cannot be written.
    """
    if not 0 <= options.level <= 9:
        raise UserError(f"--level {options.level}: must be from 0 to 9")
    file, console = open_token_file(options.tokens), Console(soft_wrap=True)
    with images_bar("writing", sum(map(len, file.tokens.values())), console) as more:
        export_release(file, options.out, options.level, more)
    console.print(f"wrote {options.out}", markup=False, highlight=False)
