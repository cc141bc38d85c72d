"""Long-tailed class-incremental learning: classes of very different sizes, tested alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import torch

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.class_incremental import partition_classes
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import ScenarioRecipe
from seit_cl.data.settings import StreamSettings
from seit_cl.data.stream_draws import stream_generator


class Order(StrEnum):
    """Assignment of sizes to classes."""

    SHUFFLED = "shuffled"
    ORDERED = "ordered"


@dataclass(frozen=True)
class LongTailedOptions:
    """Options of long-tailed.

    Args:
        ratio: size of the largest class over that of the smallest; 100 is the paper's rho = 0.01.
        order: "shuffled" deals the sizes over the classes at random; with "ordered" the stream goes
            from large to small classes.
    """

    ratio: float = 100.0
    order: Order = Order.SHUFFLED

    def __post_init__(self) -> None:
        """Refuse a ratio below 1."""
        if not 1 <= self.ratio < float("inf"):
            raise UserError(
                f"long-tailed: ratio={self.ratio:g}: must be 1 or more, the size of the largest "
                "class over that of the smallest; rho=0.01 is ratio=100"
            )


def tail_sizes(largest: int, classes: int, ratio: float) -> list[int]:
    """Class sizes that fall exponentially (Cui et al., CVPR 2019).

    Args:
        largest: images of the largest class.
        classes: number of classes C.
        ratio: largest over smallest size.

    Returns:
        largest * ratio^(-i / (C - 1)) for i from 0 to C - 1, rounded down, but at least 1.
    """
    sizes = []
    for i in range(classes):
        exact = largest * ratio ** (-i / max(1, classes - 1))
        # The small term stops a whole number from falling below itself by rounding error.
        sizes.append(max(1, int(exact + 1e-9)))
    return sizes


class LongTailed(ScenarioRecipe):
    """Class-incremental experiences with exponentially falling class sizes in training.

    The val split stays complete.
    """

    source = "Liu et al., ECCV 2022; profile of Cui et al., CVPR 2019"
    stream = "--experiences of equally many classes of unequal sizes"
    Options = LongTailedOptions

    def cut(self, dataset: Dataset, settings: StreamSettings) -> Scenario:
        """Experiences of class-incremental with the class sizes of `tail_sizes`.

        A class with fewer images than its size keeps all of them.
        """
        whole = partition_classes(self.name, dataset, settings)
        classes = len(whole.class_order)
        largest = int(torch.bincount(dataset.train.labels, minlength=classes).max())
        sizes = np.array(tail_sizes(largest, classes, self.options.ratio))
        if self.options.order is Order.SHUFFLED:
            sizes = sizes[stream_generator(settings, "long-tailed sizes").permutation(classes)]
        generator = stream_generator(settings, "long-tailed samples")
        selected = torch.zeros(len(dataset.train), dtype=torch.bool)
        for class_index, size in zip(whole.class_order, sizes.tolist(), strict=True):
            ids = (dataset.train.labels == class_index).nonzero()[:, 0]
            shuffled = torch.from_numpy(generator.permutation(len(ids)))
            selected[ids[shuffled[:size]]] = True
        return replace(whole, train=tuple(ids[selected[ids]] for ids in whole.train))


SCENARIO = LongTailed
