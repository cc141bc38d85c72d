"""ViT-VQGAN, the tokenizer of the SeiT paper: checkpoints of enhancing-transformers, and files of `tokenize train|prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from seit_cl.tokenizers._checkpoint import check_anchors, fitted, own_card, read_state_dict, without
from seit_cl.tokenizers._published import PublishedTokenizer, weights
from seit_cl.tokenizers._vit_vqgan_model import ANCHORS, ViTVQGAN, config_of
from seit_cl.tokenizers.base import TokenizerKind

NAME = "vit_vqgan"
IGNORED = ("loss.",)  # discriminator and perceptual network


def from_state(source: str, state: dict[str, Tensor], card: dict[str, str] | None = None) -> PublishedTokenizer:
    """The tokenizer of a ViT-VQGAN's tensors; sizes are read from their shapes.

    Args:
        source: where they are from, for messages.
        state: tensors by name, as in the checkpoints of enhancing-transformers.
        card: what is known of it.

    Raises:
        UserError: naming what is missing, left over or of another shape.
    """
    needed = weights(state)
    check_anchors(source, "ViT-VQGAN", needed, ANCHORS)
    return PublishedTokenizer(NAME, fitted(source, "ViT-VQGAN", needed, lambda: ViTVQGAN(**config_of(needed))), state, card)


def _open(source: str, options: Any) -> PublishedTokenizer:
    state, metadata = read_state_dict(Path(source))
    kept, ignored = without(state, IGNORED)
    return from_state(source, kept, own_card(metadata, ignored))


TOKENIZER = TokenizerKind(
    _open, "ViT-VQGAN (Yu et al., ICLR 2022), from a checkpoint of enhancing-transformers or of `tokenize train`", "CHECKPOINT"
)
