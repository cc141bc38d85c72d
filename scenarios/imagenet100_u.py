"""ImageNet-100, the U list: 100 classes drawn by seed 1993 (LUCIR, FOSTER, PyCIL, MRDC, CIM).

Another list of the same name is imagenet100-first; nine classes are in both.
"""

from __future__ import annotations

import numpy as np

from seit_cl.data.base import Dataset
from seit_cl.data.listed_classes import ImageNet100, imagenet_wnids


class ImageNet100U(ImageNet100):
    """The classes that LUCIR's gen_imagenet_subset.py draws."""

    source = "Hou et al., CVPR 2019 (LUCIR)"
    list_name = "ImageNet-100's U list"

    def class_names(self, dataset: Dataset) -> list[str]:
        """100 of the 1,000 sorted wnids, drawn without replacement by numpy's legacy generator."""
        wnids = imagenet_wnids()
        drawn = np.random.RandomState(1993).choice(len(wnids), 100, replace=False)
        return [wnids[index] for index in drawn]


SCENARIO = ImageNet100U
