"""RunConfig: every option of one run, typed, with its help line; and the grid of runs that a command line means."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from seit_cl.core.cli import hint
from seit_cl.core.errors import UserError
from seit_cl.data.holdout import DEFAULT_HOLDOUT, Holdout
from seit_cl.data.scenario import StreamSettings
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.tokenizers import resolved_spec


@dataclass(frozen=True)
class RunConfig:
    """Options of one run."""

    data_root: Annotated[
        Path | None,
        hint(
            "folder with train/<class>/* and val/<class>/*, or with a folder of images for every class, or a token file, or a SeiT "
            "release's folder; none: built-in fractals"
        ),
    ] = None
    scenario: Annotated[
        str,
        hint("how the dataset is cut into experiences (python -m seit_cl.scenarios lists them)"),
    ] = "class-incremental"
    experiences: Annotated[int, hint("number of experiences; 0: the scenario's own")] = 0
    first_classes: Annotated[
        int,
        hint("classes in the first experience; 0: as the scenario has it, mostly an even split"),
    ] = 0
    class_order_seed: Annotated[int, hint("seed of the class order; --seed does not move it")] = (
        1993
    )
    class_order: Annotated[
        tuple[str, ...], hint("explicit class order: every class name once")
    ] = ()
    strategy: Annotated[
        str, hint("what is done against forgetting, e.g. er, naive, cumulative, joint")
    ] = "er"
    format: Annotated[str, hint("how exemplars are stored, e.g. tokens, jpeg:quality=75, raw")] = (
        "tokens"
    )
    memory_mb: Annotated[
        float, hint("budget of the memory's file in MB (10^6 bytes); 0: no memory")
    ] = 1.0
    policy: Annotated[
        Literal["class-balanced", "class-balanced-count", "reservoir", "herding"],
        hint("who stays in the memory"),
    ] = "class-balanced"
    learner: Annotated[
        Literal["tokens", "pixels"], hint("token learner, or the same ViT on pixels")
    ] = "tokens"
    model: Annotated[Literal["micro", "tiny", "small", "base"], hint("size of the ViT")] = "micro"
    head: Annotated[
        Literal["grow", "fixed"], hint("classify among the classes seen, or all from the start")
    ] = "grow"
    resolution: Annotated[int, hint("image side in pixels; 0: the dataset's own")] = 0
    epochs: Annotated[int, hint("passes over each experience")] = 10
    batch: Annotated[int, hint("fresh samples a step")] = 32
    replay_batch: Annotated[int, hint("exemplars a step")] = 32
    learning_rate: Annotated[float, hint("peak learning rate of AdamW")] = 5e-4
    weight_decay: Annotated[float, hint("weight decay of AdamW, on matrices")] = 0.05
    warmup: Annotated[float, hint("fraction of an experience's steps that warm up")] = 0.1
    clip: Annotated[float, hint("largest gradient norm")] = 1.0
    label_smoothing: Annotated[float, hint("label smoothing")] = 0.1
    token_rrc: Annotated[float, hint("smallest area of Token-RRC's crop; 1: no crop")] = 0.3
    synonym_p: Annotated[
        float, hint("probability that an image gets synonym tokens (Token-EDA)")
    ] = 0.25
    swap_p: Annotated[float, hint("probability that two squares of an image swap (Token-EDA)")] = (
        0.25
    )
    noise_p: Annotated[float, hint("probability that an image gets Emb-Noise")] = 0.5
    pixel_rrc: Annotated[float, hint("smallest area of the pixel learner's crop; 1: no crop")] = 0.3
    flip_p: Annotated[
        float, hint("probability that an image is mirrored, in pixels or in tokens")
    ] = 0.5
    cutmix_p: Annotated[float, hint("probability that a batch is mixed by CutMix")] = 0.5
    cutmix_alpha: Annotated[float, hint("alpha of CutMix's Beta distribution")] = 1.0
    eval_every: Annotated[int, hint("test after every so many experiences, and after the last")] = 1
    seed: Annotated[int, hint("seed of the run's generators")] = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], hint("where the learner runs")] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], hint("auto: bf16 where the hardware has it")
    ] = "auto"
    compile: Annotated[
        bool, hint("compile the training step's model, on a GPU into CUDA graphs: starts slowly")
    ] = False
    tokenizer: Annotated[
        str | None,
        hint(
            "a file of tokenize train, or kind:SOURCE,option=value (tokenize list); none: the bundled one"
        ),
    ] = None
    skip_bad_images: Annotated[bool, hint("leave unreadable images out and count them")] = False
    val_fraction: Annotated[
        float, hint("part of every class that is held out where the data has no val/")
    ] = DEFAULT_HOLDOUT.fraction
    split_seed: Annotated[int, hint("seed of what is held out; --seed does not move it")] = (
        DEFAULT_HOLDOUT.seed
    )

    def __post_init__(self) -> None:
        """Refuse values that no run can mean, and take the scenario's own numbers where none are given.

        Raises:
            UserError: naming the option, its value and the values that it may have; or an unknown scenario.
        """
        for names, fits, words in RANGES:
            for name in names:
                if not fits(getattr(self, name)):
                    option = name.replace("_", "-")
                    raise UserError(f"--{option} {getattr(self, name):g}: must be {words}")
        if self.synonym_p + self.swap_p > 1:
            raise UserError(
                f"--synonym-p {self.synonym_p:g} and --swap-p {self.swap_p:g}: an image gets one or the other; "
                "their sum must be at most 1"
            )
        settings = build_recipe(self.scenario).resolve(self.stream_settings)
        for name in ("experiences", "first_classes"):  # frozen, but still being made
            object.__setattr__(self, name, getattr(settings, name))

    def plain(self) -> dict[str, Any]:
        """As values that YAML keeps."""
        out = asdict(self)
        for key, value in out.items():
            out[key] = (
                str(value.resolve())
                if isinstance(value, Path)
                else list(value)
                if isinstance(value, tuple)
                else value
            )
        tokenizer = self.tokenizer and resolved_spec(self.tokenizer)
        return out | {"scenario": build_recipe(self.scenario).name, "tokenizer": tokenizer}

    @property
    def stream_settings(self) -> StreamSettings:
        """The options that every scenario understands."""
        return StreamSettings(
            self.experiences, self.first_classes, self.class_order_seed, self.class_order
        )

    @property
    def holdout(self) -> Holdout:
        """How a val split is made where the data has none."""
        return Holdout(self.val_fraction, self.split_seed)


RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (("epochs", "batch", "eval_every"), lambda value: value >= 1, "at least 1"),
    (
        ("replay_batch", "experiences", "first_classes", "resolution", "split_seed"),
        lambda value: value >= 0,
        "0 or more",
    ),
    (("class_order_seed",), lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
    (("seed",), lambda value: 0 <= value < 2**63, "0 or more"),
    (
        ("memory_mb",),
        lambda value: value == 0 or 1e-6 <= value <= 1e12,
        "0 (no memory), or from one byte, 0.000001, to 1e12",
    ),
    (("weight_decay",), lambda value: 0 <= value < math.inf, "0 or more"),
    (("learning_rate", "clip", "cutmix_alpha"), lambda value: 0 < value < math.inf, "above 0"),
    (("token_rrc", "pixel_rrc"), lambda value: 0 < value <= 1, "a fraction above 0 and up to 1"),
    (
        ("warmup", "synonym_p", "swap_p", "noise_p", "flip_p", "cutmix_p"),
        lambda value: 0 <= value <= 1,
        "from 0 to 1",
    ),
    (("label_smoothing",), lambda value: 0 <= value < 1, "0 or more and below 1"),
    (("val_fraction",), lambda value: 0 < value < 1, "a fraction above 0 and below 1"),
)
GRID = ("strategy", "format", "memory_mb", "learner", "seed")


def option_names() -> tuple[str, ...]:
    """Names of every option of a run."""
    return tuple(f.name for f in fields(RunConfig))
