"""Bytes that entropy coding level by level would give: ideal code lengths on held-out images."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from seit_cl.data.folder import list_folder
from seit_cl.data.images import read_chunks
from seit_cl.formats._packing import code_bits
from seit_cl.reporting.markdown import table
from seit_cl.tokenizers import Tokenizer, open_tokenizer

SIDE = 64  # pixels
FITTED = 5_000  # images that frequencies are counted in
PRIOR = 256.0  # weight of the frequencies without a context, in counts


def code_length_table(levels: Path, data: Path) -> str:
    """Bytes of every level of an image, by what its probabilities are conditioned on.

    Frequencies are counted in training images, and lengths measured on val images.

    Args:
        levels: tokenizer with several levels.
        data: image folder.
    """
    tokenizer = open_tokenizer(str(levels))
    fitted, measured = (tokens_of(tokenizer, data, split) for split in ("train", "val"))
    codes = tokenizer.codebook.shape[1]
    positions = measured[0, 0].numel()
    rows = []
    totals = [0.0] * 4
    for level in range(measured.shape[1]):
        contexts = [_left(fitted, level), _left(measured, level)]
        lengths = [positions * code_bits(codes) / 8]
        lengths.append(code_length(fitted[:, level], measured[:, level], None, codes))
        lengths.append(code_length(fitted[:, level], measured[:, level], contexts, codes))
        below = [fitted[:, level - 1], measured[:, level - 1]] if level else None
        lengths.append(code_length(fitted[:, level], measured[:, level], below, codes))
        totals = [total + length for total, length in zip(totals, lengths, strict=True)]
        rows.append([str(level + 1), *[f"{length:.1f}" for length in lengths]])
    rows.append(["all", *[f"{total:.1f}" for total in totals]])
    head = ["level", "fixed bits", "frequencies", "given the left code", "given the level before"]
    return table(head, rows)


def tokens_of(tokenizer: Tokenizer, data: Path, split: str) -> Tensor:
    """Tokens (N, G, H, W) of images from all over a split, at most FITTED."""
    dataset = list_folder(data)
    images = (dataset.train if split == "train" else dataset.val).images
    some = images[:: -(-len(images) // FITTED)]
    return torch.cat([tokenizer.encode(chunk) for chunk in read_chunks(some, SIDE)]).long()


def code_length(
    fitted: Tensor, measured: Tensor, contexts: list[Tensor] | None, codes: int
) -> float:
    """Bytes of the codes of an image, on average, under counted frequencies.

    Args:
        fitted: codes (N, H, W) that are counted.
        measured: codes (M, H, W) whose length is returned.
        contexts: of both, 0..K, which counts are kept apart by; None for one table.
        codes: codebook size K.
    """
    plain = torch.bincount(fitted.flatten(), minlength=codes).double() + 0.5
    plain /= plain.sum()
    probabilities = plain[measured]
    if contexts is not None:
        joint = torch.zeros(codes + 1, codes, dtype=torch.float64)
        pairs = (contexts[0].flatten(), fitted.flatten())
        joint.index_put_(pairs, torch.ones((), dtype=torch.float64), accumulate=True)
        smoothed = (joint + PRIOR * plain) / (joint.sum(1, keepdim=True) + PRIOR)
        probabilities = smoothed[contexts[1], measured]
    return float(-probabilities.log2().sum() / 8 / len(measured))


def _left(tokens: Tensor, level: int) -> Tensor:
    """The left neighbour (N, H, W) of every code of a level; K at the border."""
    codes = tokens[:, level]
    border = torch.full_like(codes[:, :, :1], int(tokens.max()) + 1)
    return torch.cat([border, codes[:, :, :-1]], 2)
