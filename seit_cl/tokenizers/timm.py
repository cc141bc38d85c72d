"""Frozen features of a timm backbone, quantised as in REMIND (Hayes et al., ECCV 2020)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from seit_cl.core.cache import cache_folder
from seit_cl.core.errors import UserError
from seit_cl.core.notes import note
from seit_cl.core.specs import argument
from seit_cl.tokenizers._timm_tokenizer import TimmTokenizer, fit_timm, load_timm
from seit_cl.tokenizers.base import TokenizerKind
from seit_cl.tokenizers.training.features import FitOptions, fitting_images


@dataclass(frozen=True, kw_only=True)
class TimmOptions(FitOptions):
    """Options of the timm kind: a backbone, and how its quantiser is fitted.

    Args:
        backbone: name of a timm model, or path of a tokenizer file.
    """

    backbone: str = argument("BACKBONE or FILE.safetensors")

    @property
    def fitting(self) -> FitOptions:
        """The options of fitting alone."""
        names = [option.name for option in fields(FitOptions)]
        return FitOptions(**{name: getattr(self, name) for name in names})


class TimmFeatures(TokenizerKind):
    """Open a fitted file, or fit a backbone's quantiser once and take it from the cache."""

    about = (
        "frozen features of a timm backbone, quantised by k-means, product or residual "
        "quantisation (REMIND: Hayes et al., ECCV 2020)"
    )
    source = "Hayes et al., ECCV 2020 (REMIND)"
    Options = TimmOptions

    @classmethod
    def build(cls, options: TimmOptions, context: None = None) -> TimmTokenizer:
        """Load or fit the tokenizer.

        Raises:
            UserError: an unreadable file, options beside a file, or a cache that cannot be written.
        """
        backbone = options.backbone
        if not Path(backbone).is_file() and not backbone.endswith(".safetensors"):
            return _from_cache(backbone, options.fitting)
        if options.fitting != FitOptions():
            raise UserError(
                f"timm:{backbone}: the file states the options that it was fitted with; leave "
                "them out"
            )
        return load_timm(Path(backbone))


def _from_cache(backbone: str, options: FitOptions) -> TimmTokenizer:
    """Read a fitted tokenizer from the cache, or fit it and write it there.

    Raises:
        UserError: it cannot be fitted, or the cache cannot be written.
    """
    folder = cache_folder() / "tokenizers"
    path = folder / f"timm-{options.key(backbone, fitting_images(options))}.safetensors"
    if path.is_file():
        try:
            return load_timm(path)
        except UserError:
            note(f"{path}: damaged; the tokenizer is fitted again")
    tokenizer = fit_timm(backbone, options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(path)
    except OSError as error:
        raise UserError(
            f"{folder}: fitted tokenizers cannot be written there ({error.strerror or error}); "
            "set SEIT_CL_CACHE to a folder with enough space"
        ) from error
    return tokenizer


TOKENIZER = TimmFeatures
