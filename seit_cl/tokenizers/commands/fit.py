"""`python -m seit_cl.tokenize fit`: a tokenizer file of a frozen backbone's quantised features."""

from __future__ import annotations

from dataclasses import replace

from seit_cl.core.errors import UserError
from seit_cl.core.specs import Spec
from seit_cl.data.decoding import limit_pixels
from seit_cl.tokenizers.commands._output import prepare_output
from seit_cl.tokenizers.commands.options import FitFeatures
from seit_cl.tokenizers.training.features import FitOptions

KIND = "timm"


def fit_command(options: FitFeatures) -> None:
    """Run `tokenize fit`.

    Raises:
        UserError: another kind of tokenizer, a file that cannot be written, or options, weights or
            images that cannot be fitted.
    """
    from seit_cl.tokenizers._timm_tokenizer import fit_timm  # timm takes seconds to import

    spec = Spec.parse(options.tokenizer)
    backbone = spec.argument
    if spec.name != KIND or not backbone or backbone.endswith(".safetensors"):
        raise UserError(
            f"--tokenizer {options.tokenizer}: only frozen features are fitted; "
            f"write {KIND}:BACKBONE,pq=8x256"
        )
    settings: FitOptions = replace(spec, argument="").fill(FitOptions)
    if options.data_root is not None:
        settings = replace(settings, fit=str(options.data_root))
    limit_pixels(options.max_pixels)
    prepare_output(options.out, "features.safetensors")
    tokenizer = fit_timm(backbone, settings)
    tokenizer.save(options.out)
    print(f"{options.out}: {tokenizer.card['figures']}, {options.out.stat().st_size / 1e6:.2f} MB")
