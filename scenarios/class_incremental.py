"""Class-incremental learning: the classes arrive in experiences that partition them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seit_cl.data.class_incremental import ClassIncrementalRecipe


class ClassIncremental(ClassIncrementalRecipe):
    """All classes of the dataset, in the order of seed 1993 by default."""

    source = "Rebuffi et al., CVPR 2017 (iCaRL)"
    stream = "experiences of equally many classes"
    preset: ClassVar[Mapping[str, Any]] = {
        "memory_mb": (0.02, 0.1, 0.5, 2.0),
        "epochs": 20,
        "cutmix_p": 0.0,
        "token_rrc": 0.6,
    }


SCENARIO = ClassIncremental
