"""RunConfig: every option of one run, typed, with its help line; and the grid of runs that a command line means."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from seit_cl.errors import UserError
from seit_cl.tokenizers import resolved_spec


def _help(text: str) -> Any:
    return tyro.conf.arg(help=text)


@dataclass(frozen=True)
class RunConfig:
    """Options of one run."""

    data_root: Annotated[Path | None, _help(
        "folder with train/<class>/* and val/<class>/*, or a token file, or a SeiT release's folder; none: built-in fractals"
    )] = None
    scenario: Annotated[str, _help("how the dataset is cut into experiences")] = "class-incremental"
    experiences: Annotated[int, _help("number of experiences")] = 5
    first_classes: Annotated[int, _help("classes in the first experience; 0: an even split")] = 0
    class_order_seed: Annotated[int, _help("seed of the class order; --seed does not move it")] = 1993
    class_order: Annotated[tuple[str, ...], _help("explicit class order: every class name once")] = ()
    strategy: Annotated[str, _help("what is done against forgetting, e.g. er, naive, cumulative, joint")] = "er"
    format: Annotated[str, _help("how exemplars are stored, e.g. tokens, jpeg:quality=75, raw")] = "tokens"
    memory_mb: Annotated[float, _help("budget of the memory's file in MB (10^6 bytes); 0: no memory")] = 1.0
    policy: Annotated[
        Literal["class-balanced", "class-balanced-count", "reservoir", "herding"], _help("who stays in the memory")
    ] = "class-balanced"
    learner: Annotated[Literal["tokens", "pixels"], _help("token learner, or the same ViT on pixels")] = "tokens"
    model: Annotated[Literal["micro", "tiny", "small", "base"], _help("size of the ViT")] = "micro"
    head: Annotated[Literal["grow", "fixed"], _help("classify among the classes seen, or all from the start")] = "grow"
    resolution: Annotated[int, _help("image side in pixels; 0: the dataset's own")] = 0
    epochs: Annotated[int, _help("passes over each experience")] = 10
    batch: Annotated[int, _help("fresh samples a step")] = 32
    replay_batch: Annotated[int, _help("exemplars a step")] = 32
    learning_rate: Annotated[float, _help("peak learning rate of AdamW")] = 5e-4
    weight_decay: Annotated[float, _help("weight decay of AdamW, on matrices")] = 0.05
    warmup: Annotated[float, _help("fraction of an experience's steps that warm up")] = 0.1
    clip: Annotated[float, _help("largest gradient norm")] = 1.0
    label_smoothing: Annotated[float, _help("label smoothing")] = 0.1
    token_rrc: Annotated[float, _help("smallest area of Token-RRC's crop; 1: no crop")] = 0.3
    synonym_p: Annotated[float, _help("probability that an image gets synonym tokens (Token-EDA)")] = 0.25
    swap_p: Annotated[float, _help("probability that two squares of an image swap (Token-EDA)")] = 0.25
    noise_p: Annotated[float, _help("probability that an image gets Emb-Noise")] = 0.5
    pixel_rrc: Annotated[float, _help("smallest area of the pixel learner's crop; 1: no crop")] = 0.3
    flip_p: Annotated[float, _help("probability that an image is mirrored, in pixels or in tokens")] = 0.5
    cutmix_p: Annotated[float, _help("probability that a batch is mixed by CutMix")] = 0.5
    cutmix_alpha: Annotated[float, _help("alpha of CutMix's Beta distribution")] = 1.0
    seed: Annotated[int, _help("seed of the run's generators")] = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], _help("where the learner runs")] = "auto"
    precision: Annotated[Literal["auto", "fp32", "bf16"], _help("auto: bf16 where the hardware has it")] = "auto"
    compile: Annotated[bool, _help("compile the training step's model, on a GPU into CUDA graphs: starts slowly")] = False
    tokenizer: Annotated[
        str | None, _help("a file of tokenize train, or kind:SOURCE,option=value (tokenize list); none: the bundled one")
    ] = None
    skip_bad_images: Annotated[bool, _help("leave unreadable images out and count them")] = False

    def __post_init__(self) -> None:
        """Refuse values that no run can mean.

        Raises:
            UserError: naming the option, its value and the values that it may have.
        """
        for names, fits, words in RANGES:
            for name in names:
                if not fits(getattr(self, name)):
                    option = name.replace("_", "-")
                    raise UserError(f"--{option} {getattr(self, name):g}: must be {words}")
        if self.synonym_p + self.swap_p > 1:
            raise UserError(f"--synonym-p {self.synonym_p:g} and --swap-p {self.swap_p:g}: an image gets one or the other; "
                            "their sum must be at most 1")  # fmt: skip

    def plain(self) -> dict[str, Any]:
        """As values that YAML keeps."""
        out = asdict(self)
        for key, value in out.items():
            out[key] = str(value.resolve()) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
        tokenizer = self.tokenizer and resolved_spec(self.tokenizer)
        return out | {"scenario": self.scenario.replace("_", "-"), "tokenizer": tokenizer}


RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (("epochs", "batch", "experiences"), lambda value: value >= 1, "at least 1"),
    (("replay_batch", "first_classes", "resolution"), lambda value: value >= 0, "0 or more"),
    (("class_order_seed",), lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
    (("seed",), lambda value: 0 <= value < 2**63, "0 or more"),
    (("memory_mb",), lambda value: value == 0 or 1e-6 <= value <= 1e12, "0 (no memory), or from one byte, 0.000001, to 1e12"),
    (("weight_decay",), lambda value: 0 <= value < math.inf, "0 or more"),
    (("learning_rate", "clip", "cutmix_alpha"), lambda value: 0 < value < math.inf, "above 0"),
    (("token_rrc", "pixel_rrc"), lambda value: 0 < value <= 1, "a fraction above 0 and up to 1"),
    (("warmup", "synonym_p", "swap_p", "noise_p", "flip_p", "cutmix_p"), lambda value: 0 <= value <= 1, "from 0 to 1"),
    (("label_smoothing",), lambda value: 0 <= value < 1, "0 or more and below 1"),
)
GRID = ("strategy", "format", "memory_mb", "learner", "seed")


def option_names() -> tuple[str, ...]:
    """Names of every option of a run."""
    return tuple(f.name for f in fields(RunConfig))
