"""Arms of the study: what a memory of residual tokens does when it is full.

All arms are experience replay with the micro learner on the same streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

DROP = 0.5  # probability that an image loses levels, in the arms that drop them


@dataclass(frozen=True)
class Arm:
    """One use of the bytes.

    Args:
        description: for tables.
        tokenizer: the file of several levels, its first level alone, or the file of one level.
        options: of `seit_cl.config.RunConfig`, besides those that all arms share.
    """

    description: str
    tokenizer: Literal["levels", "first", "one"] = "levels"
    options: Mapping[str, Any] = field(default_factory=dict)


_CUTS = {"policy": "class-balanced:degrade=levels"}
_DROPS = {"level_drop_p": DROP}

ARMS: Mapping[str, Arm] = {
    "degrade": Arm("levels are cut before exemplars are removed", options=_CUTS),
    "first": Arm("the first level alone", "first"),
    "evict": Arm("all levels, exemplars are removed"),
    "degrade-drop": Arm("cut, learner sees dropped levels", options={**_CUTS, **_DROPS}),
    "one": Arm("a tokenizer of one level", "one"),
    "evict-drop": Arm("removed, learner sees dropped levels", options=_DROPS),
}

# Pairs of arms and the question that their difference answers.
DIFFERENCES = (
    ("degrade", "evict", "cut or remove?"),
    ("degrade-drop", "evict-drop", "the same, with dropped levels in training"),
    ("degrade", "first", "are further levels worth it?"),
    ("degrade-drop", "first", "the same, with dropped levels in training"),
    ("degrade-drop", "degrade", "dropped levels in training"),
    ("degrade", "one", "against a tokenizer of one level"),
    ("degrade-drop", "one", "the same, with dropped levels in training"),
)
