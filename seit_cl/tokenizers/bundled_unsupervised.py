"""The second tokenizer that ships with the package, trained without labels."""

from __future__ import annotations

from pathlib import Path

from seit_cl.core.specs import NoOptions
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer, load_tokenizer
from seit_cl.tokenizers.base import TokenizerKind

WEIGHTS = Path(__file__).with_name("bundled_unsupervised.safetensors")


class BundledUnsupervised(TokenizerKind):
    """Open the package's tokenizer that was trained without labels."""

    about = (
        "the same autoencoder as bundled, trained on the same images without their labels, on "
        "features that a network learnt from them by itself; in the package"
    )
    source = "van den Oord et al., NeurIPS 2017 (VQ-VAE); Chen et al., ICML 2020 (SimCLR)"
    Options = NoOptions

    @classmethod
    def build(cls, options: NoOptions, context: None = None) -> VQAETokenizer:
        """Load the file in the package."""
        return load_tokenizer(WEIGHTS)


TOKENIZER = BundledUnsupervised
