"""`python -m seit_cl.tokenize fit`: quantise the features of a frozen backbone; one file holds it and the codebooks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from seit_cl.core.cli import hint
from seit_cl.core.errors import UserError
from seit_cl.core.specs import Spec
from seit_cl.tokenizers.training.features import FitOptions

KIND = "timm"


@dataclass(frozen=True)
class FitFeatures:
    """Fit a quantiser to the features of a frozen timm backbone, and write a tokenizer file."""

    tokenizer: Annotated[
        str, hint("timm:BACKBONE,option=value, e.g. timm:resnet18,pq=8x256; see tokenize list")
    ]
    out: Annotated[Path, hint("safetensors file to write")]
    data_root: Annotated[
        Path | None,
        hint("folder of images to fit on, its train/ where it has one; without: fractals"),
    ] = None


def fit_command(options: FitFeatures) -> None:
    """Run `tokenize fit`.

    Raises:
        UserError: another kind of tokenizer, a file that cannot be written, or what fitting refuses.
    """
    from seit_cl.tokenizers.timm import (
        fit_timm,  # importing timm's models takes seconds, which other subcommands need not wait
    )

    spec = Spec.parse(options.tokenizer)
    backbone = spec.argument
    if spec.name != KIND or not backbone or backbone.endswith(".safetensors"):
        raise UserError(
            f"--tokenizer {options.tokenizer}: only frozen features are fitted; write {KIND}:BACKBONE,pq=8x256"
        )
    settings: FitOptions = replace(spec, argument="").fill(FitOptions)
    if options.data_root is not None:
        settings = replace(settings, fit=str(options.data_root))
    if options.out.is_dir():
        raise UserError(
            f"--out {options.out}: is a folder; give the file to write, e.g. features.safetensors"
        )
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--out {options.out}: cannot be written ({error.strerror}); choose another place"
        ) from error
    tokenizer = fit_timm(backbone, settings)
    tokenizer.save(options.out)
    print(f"{options.out}: {tokenizer.card['figures']}, {options.out.stat().st_size / 1e6:.2f} MB")
