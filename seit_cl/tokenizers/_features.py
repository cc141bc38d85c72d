"""Features of images from a tokenizer alone, independent of any learner."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.core.blocks import images_at_once
from seit_cl.core.token_shapes import is_sequence
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.tokenizers.base import Tokenizer

POOLED = 2  # cells across and down that embeddings are averaged in
CHUNK = 256  # images encoded at a time at most


@torch.inference_mode()
def pooled_features(tokenizer: Tokenizer, images: Tensor) -> Tensor:
    """Average the embeddings of each image's tokens in POOLED x POOLED cells.

    Args:
        tokenizer: encodes the images and has the codebook.
        images: (B, 3, S, S) uint8.

    Returns:
        (B, POOLED * POOLED * D) float32, each of unit length, on the CPU; D is the dimension of an
        embedding.
    """
    augment = TokenAugment(tokenizer.codebook, tokenizer.combine, sequence=is_sequence(tokenizer))
    parts = []
    for chunk in images.split(images_at_once(images.shape[-1], CHUNK)):
        embeddings = augment.embed(tokenizer.encode(chunk))  # (b, D, H, W)
        parts.append(F.adaptive_avg_pool2d(embeddings, POOLED).flatten(1))
    return F.normalize(torch.cat(parts), dim=1).cpu()
