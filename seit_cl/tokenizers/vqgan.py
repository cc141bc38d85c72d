"""VQGAN (Esser et al., CVPR 2021): checkpoints of taming-transformers and latent-diffusion.

Architecture and sizes, e.g. f8 or f16, are read from the names and shapes of the tensors.
"""

from __future__ import annotations

from torch import Tensor

from seit_cl.tokenizers._checkpoint import CheckpointOptions, check_anchors, load_model
from seit_cl.tokenizers._published import PublishedTokenizer, open_checkpoint, published
from seit_cl.tokenizers.base import TokenizerKind
from seit_cl.tokenizers.nets.vqgan import ANCHORS, VQGAN
from seit_cl.tokenizers.nets.vqgan_codes import GumbelQuantizer, NearestQuantizer

NAME = "vqgan"
IGNORED = ("loss.", "model_ema.")  # discriminator and perceptual network; running averages
CODEBOOK = "quantize.embedding.weight"
GUMBEL_CODEBOOK = "quantize.embed.weight"


def from_state(
    source: str, state: dict[str, Tensor], card: dict[str, str] | None = None
) -> PublishedTokenizer:
    """Make the tokenizer of a VQGAN's tensors.

    Args:
        source: the file, for messages.
        state: tensors by name, as in the checkpoints of taming-transformers.
        card: model card.

    Raises:
        UserError: naming tensors that are missing, left over or of another shape.
    """
    return published(NAME, source, state, _fit, card)


def _fit(source: str, state: dict[str, Tensor]) -> VQGAN:
    is_gumbel = GUMBEL_CODEBOOK in state
    codebook = GUMBEL_CODEBOOK if is_gumbel else CODEBOOK
    quantizer = GumbelQuantizer if is_gumbel else NearestQuantizer
    check_anchors(source, "VQGAN", state, (*ANCHORS, codebook))
    shapes = {name: tensor.shape for name, tensor in state.items()}
    return load_model(source, "VQGAN", state, lambda: VQGAN(shapes, quantizer=quantizer))


class VQGANCheckpoint(TokenizerKind):
    """Open a VQGAN's checkpoint."""

    about = (
        "VQGAN (Esser et al., CVPR 2021), from a checkpoint of taming-transformers or "
        "latent-diffusion"
    )
    source = "Esser et al., CVPR 2021"
    Options = CheckpointOptions

    @classmethod
    def build(cls, options: CheckpointOptions, context: None = None) -> PublishedTokenizer:
        """Read the checkpoint.

        Raises:
            UserError: an unreadable file, or tensors that do not fit.
        """
        return open_checkpoint(options.checkpoint, IGNORED, from_state)


TOKENIZER = VQGANCheckpoint
