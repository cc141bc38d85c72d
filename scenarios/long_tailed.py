"""Long-tailed class-incremental learning: classes of very different sizes, tested alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import torch

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import Cut, Scenario, ScenarioKind, build_scenario
from seit_cl.scenarios._streams import generator


class Order(StrEnum):
    """Which classes are the large ones."""

    SHUFFLED = "shuffled"
    ORDERED = "ordered"


@dataclass(frozen=True)
class LongTailedOptions:
    """Options of long-tailed.

    Args:
        ratio: images of the largest class over those of the smallest; 100 is the paper's rho = 0.01.
        order: "shuffled": sizes are dealt over the classes at random; "ordered": the stream goes from large to small classes.
    """

    ratio: float = 100.0
    order: Order = Order.SHUFFLED

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 1 <= self.ratio < float("inf"):
            raise UserError(
                f"long-tailed: ratio={self.ratio:g}: the largest class over the smallest, 1 or more; "
                "rho=0.01 is ratio=100"
            )


def tail_sizes(largest: int, classes: int, ratio: float) -> list[int]:
    """Sizes of the classes, falling exponentially: largest * ratio^(-i / (C - 1)) for i from 0, rounded down, 1 at least
    (Cui et al., CVPR 2019)."""
    # A little more than nothing is added, so that a power that is whole but for rounding is not rounded down.
    return [
        max(1, int(largest * ratio ** (-i / max(1, classes - 1)) + 1e-9)) for i in range(classes)
    ]


class LongTailed(ScenarioKind):
    """Class-incremental experiences with an exponential profile of class sizes in training; the val images all stay."""

    source = "Liu et al., ECCV 2022; profile of Cui et al., CVPR 2019"
    shape = "--experiences of equally many classes of unequal sizes"
    Options = LongTailedOptions

    def cut(self, dataset: Dataset, cut: Cut) -> Scenario:
        """Experiences of class-incremental, in each class as many images as `tail_sizes` says, or all where it has fewer."""
        whole = build_scenario("class-incremental").cut(dataset, cut)
        classes = len(whole.class_order)
        largest = int(torch.bincount(dataset.train.labels, minlength=classes).max())
        sizes = np.array(tail_sizes(largest, classes, self.options.ratio))
        if self.options.order is Order.SHUFFLED:
            sizes = sizes[generator(cut, "long-tailed sizes").permutation(classes)]
        draw = generator(cut, "long-tailed samples")
        kept = torch.zeros(len(dataset.train), dtype=torch.bool)
        for label, size in enumerate(sizes.tolist()):
            ids = (dataset.train.labels == whole.class_order[label]).nonzero()[:, 0]
            kept[ids[torch.from_numpy(draw.permutation(len(ids)))[:size]]] = True
        return replace(whole, name=self.name, train=tuple(ids[kept[ids]] for ids in whole.train))


SCENARIO = LongTailed
