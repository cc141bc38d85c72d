"""ImageNet-1k, all classes of ILSVRC 2012 (Russakovsky et al., IJCV 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seit_cl.data.base import Dataset
from seit_cl.data.listed_classes import ListedClasses, imagenet_wnids


class ImageNet1k(ListedClasses):
    """All 1,000 classes, in the order of seed 1993: 54, 7, 894, …"""

    source = "Rebuffi et al., CVPR 2017 (iCaRL)"
    stream = "10 experiences of 100 classes"
    classes = "1,000"
    images = "1,281,167 + 50,000"
    experiences = 10
    list_name = "ImageNet-1k"
    # Budgets and epochs: docs/scenarios.md, "Presets"
    preset: ClassVar[Mapping[str, Any]] = {
        "memory_mb": (1.0, 5.0, 20.0, 3010.56),
        "epochs": 90,
        "batch": 128,
        "replay_batch": 128,
        "model": "small",
    }

    def class_names(self, dataset: Dataset) -> list[str]:
        """The 1,000 wnids."""
        return imagenet_wnids()


SCENARIO = ImageNet1k
