"""Tiny-ImageNet: 200 classes at 64 px, in the layout of its archive (Le and Yang, CS231N, 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.scenarios._listed import Listed

CLASSES = 200
LIST = "wnids.txt"


class TinyImageNet(Listed):
    """All classes. Its archive lists them in wnids.txt; a folder without that file must have 200."""

    source = "Buzzega et al., NeurIPS 2020 (DER++)"
    shape = "10 experiences of 20 classes"
    classes = f"{CLASSES}"
    images = "100,000 + 10,000"
    experiences = 10
    list_name = f"Tiny-ImageNet's {LIST}"
    # Budgets and epochs: docs/scenarios.md, "Presets"
    preset: ClassVar[Mapping[str, Any]] = {
        "memory_mb": (0.1, 0.5, 2.4576, 6.144, 20.0),
        "epochs": 50,
    }

    def wanted(self, dataset: Dataset) -> list[str]:
        """What wnids.txt lists, else the dataset's own.

        Raises:
            UserError: they are not 200, or wnids.txt cannot be read.
        """
        path = dataset.root / LIST
        try:
            listed = path.read_text(encoding="utf-8").split() if path.is_file() else None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: cannot be read ({error}); unpack Tiny-ImageNet anew"
            ) from error
        names = dataset.classes if listed is None else listed
        if len(set(names)) != CLASSES:
            where = f"{path} lists" if listed else f"{dataset.root} has"
            raise UserError(
                f"--scenario {self.name}: {where} {len(set(names))} classes, and Tiny-ImageNet {CLASSES}; give "
                "--data-root its unpacked archive, or use class-incremental"
            )
        return names


SCENARIO = TinyImageNet
