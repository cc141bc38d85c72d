"""LlamaGen's image tokenizers (Sun et al., arXiv:2406.06525): VQ-16, VQ-8 and other sizes.

Sizes are read from the names and shapes of the tensors.
"""

from __future__ import annotations

from torch import Tensor

from seit_cl.tokenizers._checkpoint import CheckpointOptions, check_anchors, load_model
from seit_cl.tokenizers._published import PublishedTokenizer, open_checkpoint, published
from seit_cl.tokenizers.base import TokenizerKind
from seit_cl.tokenizers.nets.llamagen import ANCHORS, LlamaGen

NAME = "llamagen"
IGNORED = ("quantize.codebook_used",)  # the codes of the last training images
PLACES = ("ema", "model", "state_dict")  # in the order in which LlamaGen's own scripts look


def from_state(
    source: str, state: dict[str, Tensor], card: dict[str, str] | None = None
) -> PublishedTokenizer:
    """Make the tokenizer of LlamaGen's tensors.

    Args:
        source: the file, for messages.
        state: tensors by name, as in LlamaGen's checkpoints.
        card: model card.

    Raises:
        UserError: naming tensors that are missing, left over or of another shape.
    """
    return published(NAME, source, state, _fit, card)


def _fit(source: str, state: dict[str, Tensor]) -> LlamaGen:
    check_anchors(source, "LlamaGen tokenizer", state, ANCHORS)
    shapes = {name: tensor.shape for name, tensor in state.items()}
    return load_model(source, "LlamaGen tokenizer", state, lambda: LlamaGen(shapes))


class LlamaGenCheckpoint(TokenizerKind):
    """Open a checkpoint of LlamaGen's."""

    about = "LlamaGen's VQ-16 and VQ-8 (Sun et al., 2024), 16,384 codes: 448 and 1,792 B at 256 px"
    source = "Sun et al., arXiv:2406.06525, 2024"
    Options = CheckpointOptions

    @classmethod
    def build(cls, options: CheckpointOptions, context: None = None) -> PublishedTokenizer:
        """Read the checkpoint.

        Raises:
            UserError: an unreadable file, or tensors that do not fit.
        """
        return open_checkpoint(options.checkpoint, IGNORED, from_state, PLACES)


TOKENIZER = LlamaGenCheckpoint
