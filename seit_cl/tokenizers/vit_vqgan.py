"""ViT-VQGAN (Yu et al., ICLR 2022), the tokenizer of the SeiT paper.

Opens checkpoints of enhancing-transformers, and files of `tokenize train` and `tokenize prune`.
"""

from __future__ import annotations

from seit_cl.tokenizers._checkpoint import CheckpointOptions
from seit_cl.tokenizers._published import PublishedTokenizer, open_checkpoint
from seit_cl.tokenizers._vit_vqgan_tokenizer import from_state
from seit_cl.tokenizers.base import TokenizerKind

IGNORED = ("loss.",)  # discriminator and perceptual network


class ViTVQGANCheckpoint(TokenizerKind):
    """Open a ViT-VQGAN's checkpoint."""

    about = (
        "ViT-VQGAN (Yu et al., ICLR 2022), from a checkpoint of enhancing-transformers or of "
        "`tokenize train`"
    )
    source = "Yu et al., ICLR 2022"
    Options = CheckpointOptions

    @classmethod
    def build(cls, options: CheckpointOptions, context: None = None) -> PublishedTokenizer:
        """Read the checkpoint.

        Raises:
            UserError: an unreadable file, or tensors that do not fit.
        """
        return open_checkpoint(options.checkpoint, IGNORED, from_state)


TOKENIZER = ViTVQGANCheckpoint
