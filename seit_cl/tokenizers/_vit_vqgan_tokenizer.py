"""The tokenizer of a ViT-VQGAN (nets/vit_vqgan.py), from its tensors or a trained model."""

from __future__ import annotations

from torch import Tensor

from seit_cl.tokenizers._checkpoint import check_anchors, load_model
from seit_cl.tokenizers._published import PublishedTokenizer, published
from seit_cl.tokenizers.nets.vit_vqgan import ANCHORS, ViTVQGAN, config_of

NAME = "vit_vqgan"
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
