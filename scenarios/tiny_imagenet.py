"""Tiny-ImageNet: 200 classes at 64 px, in the layout of its archive (Le and Yang, CS231N, 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.listed_classes import ListedClasses

CLASSES = 200
LIST = "wnids.txt"


class TinyImageNet(ListedClasses):
    """All 200 classes, as listed in the archive's wnids.txt or, without that file, by folder."""

    source = "Buzzega et al., NeurIPS 2020 (DER++)"
    stream = "10 experiences of 20 classes"
    classes = f"{CLASSES}"
    images = "100,000 + 10,000"
    experiences = 10
    list_name = f"Tiny-ImageNet's {LIST}"
    # Budgets and epochs: docs/scenarios.md, "Presets"
    preset: ClassVar[Mapping[str, Any]] = {
        "memory_mb": (0.1, 0.5, 2.4576, 6.144, 20.0),
        "epochs": 50,
    }

    def class_names(self, dataset: Dataset) -> list[str]:
        """The names in wnids.txt, or the dataset's own.

        Raises:
            UserError: they are not 200, or wnids.txt cannot be read.
        """
        path = dataset.root / LIST
        names = dataset.classes
        source = f"{dataset.root} has"
        try:
            if path.is_file():
                names = path.read_text(encoding="utf-8").split()
                source = f"{path} lists"
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path}: cannot be read ({error}); unpack Tiny-ImageNet again"
            ) from error
        if len(set(names)) != CLASSES:
            raise UserError(
                f"--scenario {self.name}: {source} {len(set(names))} classes, and Tiny-ImageNet "
                f"{CLASSES}; give --data-root its unpacked archive, or use class-incremental"
            )
        return names


SCENARIO = TinyImageNet
