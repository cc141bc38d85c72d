"""The options of a run's data that every scenario understands."""

from __future__ import annotations

from dataclasses import dataclass

from seit_cl.core.options import NOT_NEGATIVE, NUMPY_SEED, CheckedOptions, option


@dataclass(frozen=True)
class StreamSettings(CheckedOptions):
    """The options of a run that every scenario understands."""

    experiences: int = option(0, "number of experiences; 0: the scenario's own", NOT_NEGATIVE)
    first_classes: int = option(
        0,
        "classes in the first experience; 0: the scenario's own number, usually an even split",
        NOT_NEGATIVE,
    )
    class_order_seed: int = option(
        1993, "seed of the class order, independent of --seed", NUMPY_SEED
    )
    class_order: tuple[str, ...] = option((), "explicit class order: every class name once")
