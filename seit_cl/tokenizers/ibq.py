"""IBQ (Shi et al., arXiv:2412.02692): a VQGAN whose codes are chosen by inner product.

Sizes are read from the names and shapes of the tensors.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from seit_cl.tokenizers._averages import open_averages, published_averages
from seit_cl.tokenizers._checkpoint import CheckpointOptions, check_anchors, load_model
from seit_cl.tokenizers._published import PublishedTokenizer
from seit_cl.tokenizers.base import TokenizerKind
from seit_cl.tokenizers.nets.vqgan import ANCHORS, VQGAN
from seit_cl.tokenizers.nets.vqgan_codes import InnerProductQuantizer

NAME = "ibq"
CODEBOOK = "quantize.embedding.weight"


def from_state(
    source: str, state: dict[str, Tensor], card: dict[str, str] | None = None
) -> PublishedTokenizer:
    """Make the tokenizer of IBQ's tensors.

    Args:
        source: the file, for messages.
        state: tensors by name, as in SEED-Voken's checkpoints, with moving averages or without.
        card: model card.

    Raises:
        UserError: naming tensors that are missing, left over or of another shape.
    """
    return published_averages(NAME, source, state, _fit, card)


def _fit(source: str, state: dict[str, Tensor]) -> VQGAN:
    check_anchors(source, "IBQ tokenizer", state, (*ANCHORS, CODEBOOK))
    shapes = {name: tensor.shape for name, tensor in state.items()}
    build = partial(VQGAN, shapes, quantizer=InnerProductQuantizer)
    return load_model(source, "IBQ tokenizer", state, build)


class IBQCheckpoint(TokenizerKind):
    """Open a checkpoint of IBQ."""

    about = "IBQ (Shi et al., 2024), 1,024 to 16,384 codes: 320 to 448 B at 256 px"
    source = "Shi et al., arXiv:2412.02692, 2024"
    Options = CheckpointOptions

    @classmethod
    def build(cls, options: CheckpointOptions, context: None = None) -> PublishedTokenizer:
        """Read the checkpoint.

        Raises:
            UserError: an unreadable file, or tensors that do not fit.
        """
        return open_averages(options.checkpoint, from_state)


TOKENIZER = IBQCheckpoint
