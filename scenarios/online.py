"""Online learning: one pass over groups of classes, in small experiences without boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.class_incremental import partition_classes
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import ScenarioRecipe
from seit_cl.data.settings import StreamSettings
from seit_cl.data.stream_draws import by_first_appearance, stream_generator


@dataclass(frozen=True)
class OnlineOptions:
    """Options of online.

    Args:
        size: images in an experience; the last one has the remainder.
        left_out: fraction of each group's images that the stream does not show, as where a protocol
            keeps a validation set apart.
    """

    size: int = 100
    left_out: float = 0.0

    def __post_init__(self) -> None:
        """Refuse an empty experience and an empty stream."""
        if self.size < 1:
            raise UserError(f"online: size={self.size}: must be 1 image or more")
        if not 0 <= self.left_out < 1:
            raise UserError(f"online: left_out={self.left_out}: must be 0 or more and below 1")


class Online(ScenarioRecipe):
    """Groups of classes one after the other, cut into experiences of `size` images.

    The groups are the experiences of class-incremental, --experiences of them. The images of a
    group come in random order, and experiences are cut across the borders of groups.
    """

    source = "Aljundi et al., NeurIPS 2019 (MIR); survey: Mai et al., Neurocomputing 2022"
    stream = "experiences of `size` images; --experiences groups of classes"
    Options = OnlineOptions
    preset: ClassVar[Mapping[str, Any]] = {"epochs": 1, "eval_every": 10}
    one_pass = True

    def cut(self, dataset: Dataset, settings: StreamSettings) -> Scenario:
        """Experiences without boundaries; --class-order-seed decides the order of images."""
        groups = partition_classes(self.name, dataset, settings)
        generator = stream_generator(settings, "online")
        shuffled = []
        for ids in groups.train:
            order = torch.from_numpy(generator.permutation(len(ids)))
            shown = len(ids) - round(self.options.left_out * len(ids))
            shuffled.append(ids[order[:shown]])
        parts = torch.cat(shuffled).split(self.options.size)
        return by_first_appearance(self.name, dataset, groups.class_order, parts, boundaries=False)


SCENARIO = Online
