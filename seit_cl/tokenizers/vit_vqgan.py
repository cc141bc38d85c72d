"""ViT-VQGAN (Yu et al., ICLR 2022), the tokenizer of the SeiT paper.

Opens checkpoints of enhancing-transformers, and files of `tokenize train` and `tokenize prune`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seit_cl.core.specs import argument
from seit_cl.tokenizers._checkpoint import check_anchors, load_model
from seit_cl.tokenizers._published import PublishedTokenizer, open_checkpoint, published
from seit_cl.tokenizers.base import TokenizerKind
from seit_cl.tokenizers.nets.vit_vqgan import ANCHORS, ViTVQGAN, config_of

NAME = "vit_vqgan"
IGNORED = ("loss.",)  # discriminator and perceptual network
FLOAT32 = ("quantizer.embedding.weight", "encoder.en_pos_embedding", "decoder.de_pos_embedding")


def from_state(
    source: str, state: dict[str, Tensor], card: dict[str, str] | None = None
) -> PublishedTokenizer:
    """Make the tokenizer of a ViT-VQGAN's tensors; sizes are read from their shapes.

    Args:
        source: the file, for messages.
        state: tensors by name, as in the checkpoints of enhancing-transformers.
        card: model card.

    Raises:
        UserError: naming tensors that are missing, left over or of another shape.
    """
    return published(NAME, source, state, _fit, card)


def _fit(source: str, state: dict[str, Tensor]) -> ViTVQGAN:
    check_anchors(source, "ViT-VQGAN", state, ANCHORS)
    return load_model(source, "ViT-VQGAN", state, lambda: ViTVQGAN(**config_of(state)))


def of_model(model: ViTVQGAN) -> PublishedTokenizer:
    """Make the tokenizer of a trained model.

    Weights are rounded to half precision; codes and positions stay in float32.
    """
    state = {}
    for name, tensor in model.state_dict().items():
        state[name] = tensor.cpu().float() if name in FLOAT32 else tensor.cpu().half()
    return from_state("the trained model", state)


@dataclass(frozen=True)
class ViTVQGANOptions:
    """Options of a ViT-VQGAN.

    Args:
        checkpoint: path of the checkpoint.
    """

    checkpoint: str = argument("CHECKPOINT")


class ViTVQGANCheckpoint(TokenizerKind):
    """Open a ViT-VQGAN's checkpoint."""

    about = (
        "ViT-VQGAN (Yu et al., ICLR 2022), from a checkpoint of enhancing-transformers or of "
        "`tokenize train`"
    )
    source = "Yu et al., ICLR 2022"
    Options = ViTVQGANOptions

    @classmethod
    def build(cls, options: ViTVQGANOptions, context: None = None) -> PublishedTokenizer:
        """Read the checkpoint.

        Raises:
            UserError: an unreadable file, or tensors that do not fit.
        """
        return open_checkpoint(options.checkpoint, IGNORED, from_state)


TOKENIZER = ViTVQGANCheckpoint
