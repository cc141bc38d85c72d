"""The base class of the plugins in scenarios/: a recipe that turns a dataset into a Scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from seit_cl.core import plugins
from seit_cl.core.specs import NoOptions, Spec, canonical_text
from seit_cl.data.holdout import Holdout
from seit_cl.data.settings import StreamSettings

if TYPE_CHECKING:  # with torch, which a command line is read without
    from seit_cl.data.base import Dataset
    from seit_cl.data.scenario import Scenario

Progress = Callable[[int, int], None]  # takes the images processed so far and all images


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class ScenarioContext:
    """The input of a recipe beside its options.

    Args:
        name: the scenario's name, with hyphens.
    """

    name: str


class ScenarioRecipe:
    """Base class of a scenario plugin: one file in scenarios/ that names its subclass SCENARIO.

    Attributes:
        source: the publication of the protocol, in a few words.
        stream: summary of the stream, e.g. "10 experiences of 10 classes".
        classes, images: numbers of classes and of images, where the scenario fixes the data.
        experiences: number of experiences where --experiences is not given; 0: as many as the data
            has parts.
        Options: frozen dataclass of the scenario's own options with their defaults.
        preset: recommended options of a run, by the names of RunConfig; --preset applies them.
        one_pass: True if a strategy may see fresh samples once only (--epochs 1). The joint and
            cumulative bounds and training on exemplars alone are exempt.
    """

    source: ClassVar[str] = ""
    stream: ClassVar[str] = ""
    classes: ClassVar[str] = "the data's"
    images: ClassVar[str] = "the data's"
    experiences: ClassVar[int] = 5
    Options: ClassVar[type[Any]] = NoOptions
    preset: ClassVar[Mapping[str, Any]] = {}
    one_pass: ClassVar[bool] = False

    def __init__(self, options: Any, context: ScenarioContext) -> None:
        self.options = options
        self.name = canonical_text(context.name, options, only_changed=True)

    @classmethod
    def build(cls, options: Any, context: ScenarioContext) -> Self:
        """Build the recipe.

        Args:
            options: an instance of `Options`.
            context: the name to which the options are added.

        Raises:
            UserError: options that contradict one another.
        """
        return cls(options, context)

    def resolve(self, settings: StreamSettings, classes: int | None = None) -> StreamSettings:
        """Fill in the scenario's own numbers where the settings give none.

        Args:
            settings: as given.
            classes: number of classes of the data; the scenario's own number of experiences is
                lowered to the largest that they fill. None: it is left as it is.

        Raises:
            UserError: the settings contradict the scenario's options.
        """
        settings.require_one_cut()
        if settings.given_sizes:
            return replace(settings, experiences=len(settings.given_sizes))
        if settings.experiences:
            return settings
        experiences = self.experiences
        if classes is not None:
            after_first = classes - settings.first_classes
            largest = after_first + 1 if settings.first_classes else classes
            experiences = min(experiences, max(1, largest))
        return replace(settings, experiences=experiences)

    @property
    def makes_images(self) -> bool:
        """True if `select` makes new images from the dataset's, which are all checked first."""
        return False

    def list_dataset(self, root: Path, holdout: Holdout) -> Dataset | None:
        """List a folder in a layout of the scenario's own, without opening an image.

        Args:
            root: the folder.
            holdout: rule for the val split of a folder that has none.

        Returns:
            The dataset; None where the scenario takes any data set (seit_cl.datasets).

        Raises:
            UserError: the folder has another layout.
        """
        return None

    def select(self, dataset: Dataset, progress: Progress = no_progress) -> Dataset:
        """The part of a dataset that the stream shows; all of it by default.

        Args:
            dataset: the whole dataset.
            progress: called while images are made.

        Raises:
            UserError: the dataset lacks something that the scenario needs.
        """
        return dataset

    def cut(self, dataset: Dataset, settings: StreamSettings) -> Scenario:
        """Cut a dataset into experiences.

        Args:
            dataset: as returned by `select`.
            settings: as returned by `resolve`.

        Raises:
            UserError: the dataset cannot be cut like this.
        """
        raise NotImplementedError


def build_recipe(spec: str) -> ScenarioRecipe:
    """Build the scenario plugin of a spec, e.g. "online:size=10".

    Raises:
        UserError: unknown scenario or option, or an invalid value.
    """
    parsed = Spec.parse(spec)
    is_class = "." in parsed.name  # module.Class, which keeps its spelling
    context = ScenarioContext(parsed.name if is_class else parsed.name.replace("_", "-"))
    recipe: ScenarioRecipe = plugins.build("scenario", parsed, context)
    return recipe


def preset_text(preset: Mapping[str, Any]) -> str:
    """A preset as it would be typed on the command line."""
    parts = []
    for name, value in preset.items():
        values = value if isinstance(value, tuple) else (value,)
        words = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
        parts.append(f"--{name.replace('_', '-')} {' '.join(words)}")
    return " ".join(parts)
