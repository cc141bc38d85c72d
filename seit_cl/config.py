"""The configuration of one run: every option with its default, help line and range."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from seit_cl.core.errors import UserError
from seit_cl.core.limits import MAX_PIXELS
from seit_cl.core.options import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    CheckedOptions,
    Range,
    option,
    select,
)
from seit_cl.data.holdout import DEFAULT_HOLDOUT, Holdout
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.settings import StreamSettings
from seit_cl.datasets._location import absolute_location
from seit_cl.learner.augment.settings import CutMixOptions, PixelAugmentOptions, TokenAugmentOptions
from seit_cl.learner.settings import Optimisation
from seit_cl.memory.selection import canonical_policy, policy_names
from seit_cl.models import TrainedPart, canonical_model
from seit_cl.tokenizers import resolved_spec

TrackerKind = Literal["none", "tensorboard", "wandb"]
GRID = ("strategy", "format", "memory_mb", "learner", "seed", "class_order_seed")
SIZES = ("memory_mb",)  # options in MB, which a command line may give with another unit
OPERATIONS = ("flops_budget",)  # options in FLOPs, which it may give with a prefix
_SEED = Range(lambda value: 0 <= value < 2**63, "0 or more")
_BUDGET = Range(
    lambda value: value == 0 or 1e-6 <= value <= 1e12,
    "0 (no memory), or from one byte, 0.000001, to 1e12",
)
_EXEMPLARS = Range(lambda value: 0 <= value < 2**32, "0 (no limit) or more, below 2^32")
_SMOOTHING = Range(lambda value: 0 <= value < 1, "0 or more and below 1")
_PART = Range(lambda value: 0 <= value < 1, "0 (none) or a fraction below 1")
_FRACTION = Range(lambda value: 0 < value < 1, "a fraction above 0 and below 1")


@dataclass(frozen=True)
class RunConfig(
    CutMixOptions,
    PixelAugmentOptions,
    TokenAugmentOptions,
    Optimisation,
    StreamSettings,
    CheckedOptions,
):
    """Options of one run: those below, and those of training and augmentation that it inherits.

    Each inherited dataclass is in the `settings.py` of the package that uses it, which receives an
    instance of it, so that every option has one name, one help line and one range check. These
    modules import no torch, so that a command line is read without it.
    """

    data_root: Path | None = option(
        None,
        "folder with train/<class>/* and val/<class>/*, or with a folder of images for every "
        "class, or other data (docs/your-own.md), or KIND:PATH,option=value; none: built-in "
        "fractals",
    )
    scenario: str = option(
        "class-incremental",
        "how the dataset is cut into experiences (python -m seit_cl.scenarios lists them)",
    )
    strategy: str = option("er", "method against forgetting, e.g. er, naive, cumulative, joint")
    format: str = option("tokens", "how exemplars are stored, e.g. tokens, jpeg:quality=75, raw")
    memory_mb: float = option(
        1.0,
        "budget of the memory's file in MB (10^6 bytes), or as 20kB or 1.5GB; 0: no memory",
        _BUDGET,
    )
    policy: str = option(
        "class-balanced", f"selection policy of the memory: {', '.join(policy_names())}"
    )
    max_exemplars: int = option(
        0,
        "the most exemplars that the memory holds, even where more would fit, so that formats are "
        "compared at one number; 0: as many as the bytes allow",
        _EXEMPLARS,
    )
    fill: Literal["default", "after", "during", "before"] = option(
        "default",
        "when fresh samples are offered to the memory: after each experience; during it, each "
        "right after its first step; or before its first step; default: as in the strategy's paper",
    )
    learner: Literal["tokens", "pixels"] = option(
        "tokens", "token learner, or the same model on pixels"
    )
    model: str = option(
        "micro",
        "network of the learner, e.g. micro, tiny, small or base (ViTs), slim_resnet18, "
        "timm:resnet18 (python -m seit_cl.models lists them)",
    )
    init: Path | None = option(
        None,
        "weights to start from: a file (safetensors, torch) or the folder of a run with "
        "--save-model; the head is left out where its classes are others",
    )
    train: str = option(
        "all", "part of the model that is trained besides its head: head (none), norm, last:N, all"
    )
    save_model: bool = option(False, "write the final weights to model.safetensors")
    head: Literal["grow", "fixed", "per-task"] = option(
        "grow",
        "classify among the classes seen, or among all from the start; per-task: train each sample "
        "among the classes of its experience alone",
    )
    resolution: int = option(
        0,
        "side in pixels: images are turned upright (EXIF), resized to it by their shorter side and "
        "cropped to the centre; 0: the most common shorter side, 32 to 256",
        NOT_NEGATIVE,
    )
    batch: int = option(32, "fresh samples per step", AT_LEAST_1)
    replay_batch: int = option(32, "exemplars per step", NOT_NEGATIVE)
    flops_budget: float = option(
        0.0,
        "FLOPs of all training steps and of what the strategy adds, as 2e13 or 20T: decides on the "
        "number of steps in place of --epochs (docs/compute.md); 0: --epochs decides",
        NOT_NEGATIVE,
    )
    label_smoothing: float = option(0.1, "label smoothing of the cross-entropy", _SMOOTHING)
    eval_every: int = option(
        1, "number of experiences between tests; the last one is always tested", AT_LEAST_1
    )
    eval_steps: int = option(
        0,
        "training steps between tests on a fixed subset of the test images (anytime.csv); 0: none",
        NOT_NEGATIVE,
    )
    eval_images: int = option(10, "images of each class in the tests of --eval-steps", AT_LEAST_1)
    linear_probe: bool = option(
        False,
        "fit a logistic regression to the final features of all training images, and test it",
    )
    seed: int = option(0, "seed of the run's generators", _SEED)
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where the learner runs")
    compile: bool = option(
        False,
        "compile the model (and the augmentation on a GPU): a slower start, then faster steps",
    )
    test_precision: Literal["fp32", "tf32"] = option(
        "fp32", "precision of matrix products in tests on a GPU; tf32 is several times as fast"
    )
    graph: bool = option(
        True,
        "run training steps as a CUDA graph on a GPU, where the strategy allows it (see log.txt)",
    )
    tokenizer: str | None = option(
        None,
        "a file from tokenize train, or kind:SOURCE,option=value (tokenize list shows kinds); "
        "none: the bundled one",
    )
    skip_bad_images: bool = option(False, "leave unreadable images out and count them")
    max_pixels: int = option(
        MAX_PIXELS, "pixels above which an image file is refused as unreadable", AT_LEAST_1
    )
    leave_out: str | None = option(
        None, "text file of images to leave out, a path below the data root on each line"
    )
    val_fraction: float = option(
        DEFAULT_HOLDOUT.fraction,
        "fraction of every class held out for tests if the data has no val/",
        _FRACTION,
    )
    split_seed: int = option(
        DEFAULT_HOLDOUT.seed, "seed of the held-out part, independent of --seed", NOT_NEGATIVE
    )

    validation_fraction: float = option(
        0.0,
        "fraction of every class's training images that the stream leaves out, to choose settings "
        "by them (--val-fraction makes the test images of data that has none); 0: none",
        _PART,
    )
    validation_seed: int = option(
        0, "seed of the validation part, independent of --seed", NOT_NEGATIVE
    )
    test_on: Literal["test", "validation"] = option(
        "test",
        "test images, or the training images that --validation-fraction leaves out: for runs that "
        "settings are chosen by",
    )

    def __post_init__(self) -> None:
        """Check every range, and the options that belong together.

        Raises:
            UserError: a value outside its range, an unknown scenario, policy or --train, a test on
                a validation part that there is not, or options of the stream that contradict the
                scenario.
        """
        super().__post_init__()
        # The dataclass is frozen.
        object.__setattr__(self, "policy", canonical_policy(self.policy))
        TrainedPart.parse(self.train)
        if self.test_on == "validation" and self.validation_fraction == 0:
            raise UserError(
                "--test-on validation: there is no such part; give --validation-fraction 0.2, "
                "for instance"
            )
        self.resolved_stream()

    def plain(self, classes: int | None = None) -> dict[str, Any]:
        """Convert to values that YAML can store, with absolute paths and canonical specs.

        The scenario's own numbers stand where the options give none.

        Args:
            classes: number of classes of the data, as in `resolved_stream`.
        """
        plain = {name: getattr(self, name) for name in option_names()}
        plain |= vars(self.resolved_stream(classes))
        for name, value in plain.items():
            if isinstance(value, Path):
                plain[name] = absolute_location(value)
            elif isinstance(value, tuple):
                plain[name] = [list(v) if isinstance(v, tuple) else v for v in value]
        plain["model"] = canonical_model(self.model)
        plain["scenario"] = build_recipe(self.scenario).name
        plain["tokenizer"] = resolved_spec(self.tokenizer) if self.tokenizer else self.tokenizer
        return plain

    @property
    def stream_settings(self) -> StreamSettings:
        """The options that every scenario understands, as given."""
        return select(self, StreamSettings)

    def resolved_stream(self, classes: int | None = None) -> StreamSettings:
        """The same options with the scenario's own numbers where none are given.

        Args:
            classes: number of classes of the data, to which the scenario's own number of
                experiences is lowered; None where the data is not known.

        Raises:
            UserError: they contradict the scenario.
        """
        return build_recipe(self.scenario).resolve(self.stream_settings, classes)

    @property
    def holdout(self) -> Holdout:
        """The part of every class that is held out where the data has no val split."""
        return Holdout(self.val_fraction, self.split_seed)


def option_names() -> tuple[str, ...]:
    """Names of every option of a run: the run's own, then those that it inherits."""
    own = tuple(RunConfig.__annotations__)
    inherited = (declared.name for declared in fields(RunConfig) if declared.name not in own)
    return own + tuple(inherited)
