"""Datasets of names alone, for scenarios: they never open an image."""

from collections.abc import Sequence
from pathlib import Path

import torch

from seit_cl.data.base import Dataset, Split


def made_up(
    classes: Sequence[str], root: Path = Path("imagenet"), train: int = 4, val: int = 2
) -> Dataset:
    """So many images of each of the classes."""
    names = sorted(classes)

    def split(name: str, count: int) -> Split:
        files = [root / name / c / f"{i}.JPEG" for c in names for i in range(count)]
        return Split(files, torch.arange(len(names)).repeat_interleave(count))

    return Dataset("imagenet", root, names, split("train", train), split("val", val))
