"""The options of a pre-training, without the code that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from seit_cl.command_line import annotated, run_option
from seit_cl.config import RunConfig
from seit_cl.core.cli import OutPath, hint, parse_line, program
from seit_cl.core.options import help_line, select
from seit_cl.data.settings import StreamSettings
from seit_cl.models import check_model_name
from seit_cl.pretraining.settings import MaskingSettings

# Options that a run has too, and that a run with the weights should be given alike.
SHARED = (
    "data_root",
    "learner",
    "model",
    "tokenizer",
    "resolution",
    "scenario",
    *(declared.name for declared in fields(StreamSettings)),
    "validation_fraction",
    "validation_seed",
    "val_fraction",
    "split_seed",
    "leave_out",
    "skip_bad_images",
    "max_pixels",
    "flip_p",
    "token_adapt",
    "warp_p",
    "recolour_p",
    "precision",
    "seed",
    "device",
)
OUT_HELP = "safetensors file to write"
FIRST_EXPERIENCE_HELP = (
    "train on the images of the first experience alone (--scenario, --experiences, "
    "--class-order-seed and others), so that a stream that starts with them brings nothing that "
    "was seen before"
)
DESCRIPTION = (
    "Pre-train a learner's network without labels: masked token modelling of its tokens (SeiT++), "
    "or with --learner pixels masked image modelling (SimMIM). Training images alone are seen. "
    "--init of seit_cl.run takes the weights; after an interruption the same command goes on."
)


@dataclass(frozen=True)
class Pretraining:
    """A pre-training.

    Args:
        config: of a run on the same data with the same network; its options of training and memory
            are not used.
        settings: of the training.
        out: the file of the weights.
        first_experience: True for the first experience's images alone.
    """

    config: RunConfig
    settings: MaskingSettings
    out: Path
    first_experience: bool = False


def parse(arguments: Sequence[str]) -> Pretraining:
    """Read a command line.

    Raises:
        UserError: an unknown option, or a value of the wrong type or outside its range.
    """
    options_type = _options_type()
    options = parse_line(
        lambda: tyro.cli(
            options_type, args=arguments, prog=program("pretrain"), description=DESCRIPTION
        ),
        arguments,
    )
    check_model_name(options.model)
    shared: dict[str, Any] = {name: getattr(options, name) for name in SHARED}
    settings = select(options, MaskingSettings)
    return Pretraining(RunConfig(**shared), settings, options.out, options.first_experience)


def _options_type() -> type[Any]:
    """The dataclass of all options on the command line."""
    first_experience = Annotated[bool, hint(FIRST_EXPERIENCE_HELP)]
    members: list[Any] = [
        ("out", Annotated[OutPath, hint(OUT_HELP)]),
        ("first_experience", first_experience, field(default=False)),
    ]
    types = get_type_hints(MaskingSettings)
    for declared in fields(MaskingSettings):
        name = declared.name
        annotation = annotated(types[name], hint(help_line(MaskingSettings, name)))
        members.append((name, annotation, field(default=declared.default)))
    members += [run_option(name) for name in SHARED]
    return make_dataclass("Pretrain", members, frozen=True)
