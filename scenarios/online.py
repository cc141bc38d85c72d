"""Online learning: one pass over classes that come in groups, in small experiences that end nowhere in particular."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import Cut, Scenario, ScenarioKind, build_scenario
from seit_cl.scenarios._streams import by_first_appearance, generator


@dataclass(frozen=True)
class OnlineOptions:
    """Options of online.

    Args:
        size: images of an experience; the last one has what is left.
    """

    size: int = 100

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.size < 1:
            raise UserError(f"online: size={self.size}: an experience has 1 image or more")


class Online(ScenarioKind):
    """The classes in groups as in class-incremental, --experiences of them; each group's images in an order drawn at random,
    one after the other; the whole cut into experiences of `size` images, across the groups' borders."""

    source = "Aljundi et al., NeurIPS 2019 (MIR); survey: Mai et al., Neurocomputing 2022"
    shape = "experiences of `size` images; --experiences groups of classes"
    Options = OnlineOptions
    preset: ClassVar[Mapping[str, Any]] = {"epochs": 1, "eval_every": 10}
    one_pass = True

    def cut(self, dataset: Dataset, cut: Cut) -> Scenario:
        """Experiences without boundaries; the images' order comes from --class-order-seed."""
        groups = build_scenario("class-incremental").cut(dataset, cut)
        draw = generator(cut, "online")
        stream = torch.cat(
            [ids[torch.from_numpy(draw.permutation(len(ids)))] for ids in groups.train]
        )
        parts = stream.split(self.options.size)
        return by_first_appearance(self.name, dataset, groups.class_order, parts, boundaries=False)


SCENARIO = Online
