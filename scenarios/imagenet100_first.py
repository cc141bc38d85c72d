"""ImageNet-100, the first 100 of the sorted wnids (BiC, DER, DyTox, Continuum).

Another list of the same name is imagenet100-u; nine classes are in both.
"""

from __future__ import annotations

from seit_cl.data.base import Dataset
from seit_cl.data.listed_classes import ImageNet100, imagenet_wnids


class ImageNet100First(ImageNet100):
    """The first 100 wnids: n01440764, n01443537, … to n01855672."""

    source = "Wu et al., CVPR 2019 (BiC)"
    list_name = "ImageNet-100's first-100 list"

    def class_names(self, dataset: Dataset) -> list[str]:
        """The first 100 of the 1,000 sorted wnids."""
        return imagenet_wnids()[:100]


SCENARIO = ImageNet100First
