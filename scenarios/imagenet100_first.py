"""ImageNet-100, the first 100 of the sorted wnids (BiC, DER, DyTox, Continuum).

Another list of the same name is imagenet100-u; nine classes are in both.
"""

from __future__ import annotations

from seit_cl.data.base import Dataset
from seit_cl.scenarios._listed import imagenet_wnids
from seit_cl.scenarios.imagenet100_u import CLASSES, ImageNet100U


class ImageNet100First(ImageNet100U):
    """Otherwise as the U list."""

    source = "Wu et al., CVPR 2019 (BiC)"
    list_name = "ImageNet-100's first-100 list"

    def wanted(self, dataset: Dataset) -> list[str]:
        """n01440764, n01443537, … to n01855672."""
        return imagenet_wnids()[:CLASSES]


SCENARIO = ImageNet100First
