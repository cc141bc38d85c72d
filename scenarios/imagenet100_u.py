"""ImageNet-100, the U list: 100 classes drawn by seed 1993 (LUCIR, FOSTER, PyCIL, MRDC, CIM).

Another list of the same name is imagenet100-first; nine classes are in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from seit_cl.data.base import Dataset
from seit_cl.scenarios._listed import Listed, imagenet_wnids

SEED, CLASSES = 1993, 100


class ImageNet100U(Listed):
    """The classes that LUCIR's gen_imagenet_subset.py draws."""

    source = "Hou et al., CVPR 2019 (LUCIR)"
    shape = "10 experiences of 10 classes"
    classes = "100"
    images = "up to 1,300 + 50 a class"
    experiences = 10
    list_name = "ImageNet-100's U list"
    # Budgets and epochs: docs/scenarios.md, "Presets"
    preset: ClassVar[Mapping[str, Any]] = {
        "memory_mb": (0.1, 0.5, 2.0, 5.0, 20.0, 301.056),
        "epochs": 90,
        "batch": 128,
        "replay_batch": 128,
        "model": "small",
    }

    def wanted(self, dataset: Dataset) -> list[str]:
        """100 of the 1,000 sorted wnids, drawn without replacement by numpy's legacy generator."""
        wnids = imagenet_wnids()
        return [
            wnids[i] for i in np.random.RandomState(SEED).choice(len(wnids), CLASSES, replace=False)
        ]


SCENARIO = ImageNet100U
