"""Splits of files that are named after them, as the Hugging Face hub and webdataset do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from seit_cl.core.errors import UserError
from seit_cl.data.split_folders import TRAIN_NAMES, VAL_NAMES

_NAMES = re.compile(rf"(?<![a-z])({'|'.join((*TRAIN_NAMES, *VAL_NAMES))})(?![a-z])")


def split_files(root: Path, files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Divide files into those to train on and those to test on.

    Args:
        root: the files' names below it name their split; those that name none are to train on.
        files: sorted.

    Returns:
        Files to train on, and to test on (empty where there are none).

    Raises:
        UserError: there are none to train on.
    """
    by_split: dict[str, list[Path]] = {}
    for file in files:
        found = _NAMES.findall(file.relative_to(root).as_posix().lower())
        split = found[-1] if found else "train"
        by_split.setdefault("train" if split.startswith("train") else split, []).append(file)
    if "train" not in by_split:
        raise UserError(f"{root}: has files of {', '.join(by_split) or 'no split'}, none of train")
    val = next((by_split[name] for name in VAL_NAMES if name in by_split), [])
    return by_split["train"], val
