"""TiTok (Yu et al., NeurIPS 2024): an image as a sequence of tokens without places in the image.

Sizes are read from the names and shapes of the tensors.
"""

from __future__ import annotations

from torch import Tensor

from seit_cl.tokenizers._checkpoint import CheckpointOptions, check_anchors, load_model
from seit_cl.tokenizers._published import PublishedTokenizer, open_checkpoint, published
from seit_cl.tokenizers.base import TokenizerKind
from seit_cl.tokenizers.nets.titok import ANCHORS, LEGACY_ANCHORS, TiTok

NAME = "titok"
IGNORED = ("quantize.embed_prob",)  # how often codes were used in training
LEGACY = "decoder.ffn.2.weight"  # only the first models have it


def from_state(
    source: str, state: dict[str, Tensor], card: dict[str, str] | None = None
) -> PublishedTokenizer:
    """Make the tokenizer of TiTok's tensors.

    Args:
        source: the file, for messages.
        state: tensors by name, as in TiTok's checkpoints.
        card: model card.

    Raises:
        UserError: naming tensors that are missing, left over or of another shape.
    """
    return published(NAME, source, state, _fit, card)


def _fit(source: str, state: dict[str, Tensor]) -> TiTok:
    check_anchors(source, "TiTok", state, ANCHORS)
    if LEGACY in state:
        check_anchors(source, "TiTok", state, LEGACY_ANCHORS)
    shapes = {name: tensor.shape for name, tensor in state.items()}
    return load_model(source, "TiTok", state, lambda: TiTok(shapes))


class TiTokCheckpoint(TokenizerKind):
    """Open a checkpoint of TiTok."""

    about = "TiTok (Yu et al., NeurIPS 2024), sequences of 32 to 256 tokens: 48 to 416 B at 256 px"
    source = "Yu et al., NeurIPS 2024"
    Options = CheckpointOptions

    @classmethod
    def build(cls, options: CheckpointOptions, context: None = None) -> PublishedTokenizer:
        """Read the checkpoint.

        Raises:
            UserError: an unreadable file, or tensors that do not fit.
        """
        return open_checkpoint(options.checkpoint, IGNORED, from_state)


TOKENIZER = TiTokCheckpoint
