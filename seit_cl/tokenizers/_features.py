"""Features of images that no run's learner has a part in: what a tokenizer sees in them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.tokenizers.base import Tokenizer

POOLED = 2  # cells across and down that embeddings are averaged in
CHUNK = 256  # images at a time


@torch.inference_mode()
def pooled_features(tokenizer: Tokenizer, images: Tensor) -> Tensor:
    """Embeddings of an image's tokens, averaged in POOLED x POOLED cells.

    Args:
        images: (B, 3, S, S) uint8.

    Returns:
        (B, POOLED * POOLED * D) float32, each of unit length, on the CPU.
    """
    embed = TokenAugment(tokenizer.codebook, tokenizer.combine).embed
    parts = [
        F.adaptive_avg_pool2d(embed(tokenizer.encode(chunk)), POOLED).flatten(1)
        for chunk in images.split(CHUNK)
    ]
    return F.normalize(torch.cat(parts), dim=1).cpu()
