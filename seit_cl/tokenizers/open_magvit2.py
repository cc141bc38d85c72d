"""Open-MAGVIT2 (Luo et al., arXiv:2409.04410): bits by the signs of latents, without a codebook.

Sizes are read from the names and shapes of the tensors.
"""

from __future__ import annotations

from torch import Tensor

from seit_cl.tokenizers._averages import open_averages, published_averages
from seit_cl.tokenizers._checkpoint import CheckpointOptions, check_anchors, load_model
from seit_cl.tokenizers._published import PublishedTokenizer
from seit_cl.tokenizers.base import TokenizerKind
from seit_cl.tokenizers.nets.open_magvit2 import ANCHORS, OpenMAGVIT2

NAME = "open_magvit2"


def from_state(
    source: str, state: dict[str, Tensor], card: dict[str, str] | None = None
) -> PublishedTokenizer:
    """Make the tokenizer of Open-MAGVIT2's tensors.

    Args:
        source: the file, for messages.
        state: tensors by name, as in SEED-Voken's checkpoints, with moving averages or without.
        card: model card.

    Raises:
        UserError: naming tensors that are missing, left over or of another shape.
    """
    return published_averages(NAME, source, state, _fit, card)


def _fit(source: str, state: dict[str, Tensor]) -> OpenMAGVIT2:
    check_anchors(source, "Open-MAGVIT2", state, ANCHORS)
    shapes = {name: tensor.shape for name, tensor in state.items()}
    return load_model(source, "Open-MAGVIT2", state, lambda: OpenMAGVIT2(shapes))


class OpenMAGVIT2Checkpoint(TokenizerKind):
    """Open a checkpoint of Open-MAGVIT2."""

    about = "Open-MAGVIT2 (Luo et al., 2024), 18 or 14 bits a position: 576 or 448 B at 256 px"
    source = "Luo et al., arXiv:2409.04410, 2024"
    Options = CheckpointOptions

    @classmethod
    def build(cls, options: CheckpointOptions, context: None = None) -> PublishedTokenizer:
        """Read the checkpoint.

        Raises:
            UserError: an unreadable file, or tensors that do not fit.
        """
        return open_averages(options.checkpoint, from_state)


TOKENIZER = OpenMAGVIT2Checkpoint
