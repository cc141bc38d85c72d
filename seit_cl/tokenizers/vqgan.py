"""VQGAN: state_dicts of taming-transformers and latent-diffusion, f8, f16 and whatever else their shapes say."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seit_cl.core.specs import argument
from seit_cl.tokenizers._checkpoint import check_anchors, load_model
from seit_cl.tokenizers._published import PublishedTokenizer, open_checkpoint, published
from seit_cl.tokenizers.base import TokenizerKind
from seit_cl.tokenizers.nets.vqgan import ANCHORS, VQGAN

NAME = "vqgan"
IGNORED = (
    "loss.",
    "model_ema.",
)  # discriminator and perceptual network; running averages that the checkpoints keep besides


def from_state(
    source: str, state: dict[str, Tensor], card: dict[str, str] | None = None
) -> PublishedTokenizer:
    """The tokenizer of a VQGAN's tensors; architecture and sizes are read from their names and shapes.

    Args:
        source: where they are from, for messages.
        state: tensors by name, as in the checkpoints of taming-transformers.
        card: what is known of it.

    Raises:
        UserError: naming what is missing, left over or of another shape.
    """
    return published(NAME, source, state, _fit, card)


def _fit(source: str, state: dict[str, Tensor]) -> VQGAN:
    codes = (
        "quantize.embed.weight" if "quantize.embed.weight" in state else "quantize.embedding.weight"
    )
    check_anchors(source, "VQGAN", state, (*ANCHORS, codes))
    shapes = {name: tensor.shape for name, tensor in state.items()}
    return load_model(source, "VQGAN", state, lambda: VQGAN(shapes))


@dataclass(frozen=True)
class VQGANOptions:
    """Options of a VQGAN's checkpoint.

    Args:
        checkpoint: its file.
    """

    checkpoint: str = argument("CHECKPOINT")


class VQGANCheckpoint(TokenizerKind):
    """Open a VQGAN's checkpoint."""

    about = "VQGAN (Esser et al., CVPR 2021), from a checkpoint of taming-transformers or latent-diffusion"
    source = "Esser et al., CVPR 2021"
    Options = VQGANOptions

    @classmethod
    def build(cls, options: VQGANOptions, context: None = None) -> PublishedTokenizer:
        """Read the checkpoint."""
        return open_checkpoint(options.checkpoint, IGNORED, from_state)


TOKENIZER = VQGANCheckpoint
