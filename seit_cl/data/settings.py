"""The options of a run's data that every scenario understands."""

from __future__ import annotations

from dataclasses import dataclass

from seit_cl.core.errors import UserError
from seit_cl.core.options import NOT_NEGATIVE, NUMPY_SEED, CheckedOptions, option
from seit_cl.data.class_lists import ClassLists

CLASS_ORDER_SEED = 1993  # iCaRL (Rebuffi et al., CVPR 2017) and its followers


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
        CLASS_ORDER_SEED, "seed of the class order, independent of --seed", NUMPY_SEED
    )
    class_order: tuple[str, ...] = option((), "explicit class order: every class name once")
    experience_classes: tuple[int, ...] = option(
        (), "classes in each experience, e.g. 102 67 31; none: --experiences of equal size"
    )
    class_lists: ClassLists = option(
        (),
        "explicit classes of each experience by name, e.g. cat,dog car,ship, or a YAML or JSON "
        "file with a list of lists",
    )

    @property
    def given_sizes(self) -> tuple[int, ...]:
        """Classes in each experience, where sizes or lists of classes are given."""
        return self.experience_classes or tuple(len(names) for names in self.class_lists)

    def require_one_cut(self) -> None:
        """Check that no two options cut the classes in different ways.

        Raises:
            UserError: naming the two.
        """
        option = "--class-lists" if self.class_lists else "--experience-classes"
        sizes = self.given_sizes
        if self.class_lists and self.experience_classes:
            raise UserError("--experience-classes: --class-lists has the sizes; drop one of them")
        if self.class_lists and self.class_order:
            raise UserError("--class-order: --class-lists has the order; drop one of them")
        if any(size < 1 for size in sizes):
            raise UserError(f"{option} {' '.join(map(str, sizes))}: each must be at least 1")
        if sizes and self.experiences not in (0, len(sizes)):
            raise UserError(
                f"--experiences {self.experiences}: {option} has {len(sizes)}; drop --experiences"
            )
        if sizes and self.first_classes not in (0, sizes[0]):
            raise UserError(
                f"--first-classes {self.first_classes}: {option} has {sizes[0]}; "
                "drop --first-classes"
            )
