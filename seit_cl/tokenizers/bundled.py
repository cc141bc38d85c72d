"""The tokenizer that ships with the package, and files of its kind from `tokenize train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seit_cl.core.errors import UserError
from seit_cl.core.specs import argument
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer, load_tokenizer
from seit_cl.tokenizers.base import TokenizerKind

WEIGHTS = Path(__file__).with_name("bundled.safetensors")


@dataclass(frozen=True)
class BundledOptions:
    """Options of the bundled kind.

    Args:
        file: path of a tokenizer file; "": the tokenizer in the package.
        levels: codes per position, the first ones of the file; 0: all.
    """

    file: str = argument("FILE.safetensors", default="")
    levels: int = 0


class Bundled(TokenizerKind):
    """Open the package's tokenizer or a trained file of its kind."""

    about = (
        "a small mirror-symmetric vector-quantised autoencoder, in the package or of "
        "`tokenize train`; one code a position, several residual levels, or FSQ and BSQ without a "
        "codebook"
    )
    source = "van den Oord et al., NeurIPS 2017 (VQ-VAE)"
    Options = BundledOptions

    @classmethod
    def build(cls, options: BundledOptions, context: None = None) -> VQAETokenizer:
        """Load the file and use its first levels.

        Raises:
            UserError: an unreadable file, or more levels than it has.
        """
        tokenizer = load_tokenizer(Path(options.file) if options.file else WEIGHTS)
        most = tokenizer.model.levels
        if not 0 <= options.levels <= most:
            raise UserError(
                f"{options.file or 'bundled'}: levels={options.levels}, but it has {most}; "
                "more are trained by python -m seit_cl.tokenize train --levels"
            )
        return tokenizer.first(options.levels or most)


TOKENIZER = Bundled
