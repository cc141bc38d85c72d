"""Fit an EntropyModel to token grids: the network, the tables, and the compact network.

Of several codes a position, each has networks and tables of its own. Each part draws its batches
anew from the seed, so that it does not depend on the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.token_shapes import token_shape
from seit_cl.data.images import read_chunks
from seit_cl.data.stored import StoredImage
from seit_cl.formats.entropy.columns import columns_of
from seit_cl.formats.entropy.compact import MAX_SIZE, CompactModel, rounded_vectors
from seit_cl.formats.entropy.model import EntropyModel, joined
from seit_cl.tokenizers.base import Tokenizer
from seit_cl.tokenizers.training.entropy_network import (
    CompactNetwork,
    Draw,
    EntropyFitOptions,
    Layout,
    Network,
    ProgressCallback,
    descend,
    mean_bits,
)
from seit_cl.tokenizers.training.entropy_tables import fit_tables

UNSEEN_PROBABILITY = 1e-6  # of a code that does not occur
IMAGES_AT_ONCE = 256  # loaded and tokenized together


def encode_grids(
    tokenizer: Tokenizer, stored: Sequence[StoredImage | Path], side: int, mirrored: bool = False
) -> Tensor:
    """Tokenize image files.

    Args:
        tokenizer: encodes the images.
        stored: N stored images, or paths of image files.
        side: of the images in pixels.
        mirrored: encode mirror images too, after each batch of images.

    Returns:
        (N, G, H, W) int16, or (2 N, G, H, W).
    """
    each = 2 if mirrored else 1
    shape = (each * len(stored), *token_shape(tokenizer, side))
    grids = torch.empty(shape, dtype=torch.int16)
    done = 0
    for images in read_chunks(stored, side, IMAGES_AT_ONCE):
        for seen in (images, images.flip(3))[:each]:
            grids[done : done + len(seen)] = tokenizer.encode(seen)
            done += len(seen)
    return grids


def fit_entropy(
    tokenizer: str,
    codes: int,
    grids: Sequence[tuple[Tensor, float]],
    options: EntropyFitOptions,
    progress: ProgressCallback,
    sequences: bool = False,
    codebook: Tensor | None = None,
) -> EntropyModel:
    """Fit network and tables to grids of several sizes.

    Args:
        tokenizer: identity of the tokenizer that the grids are from.
        codes: its codebook size K.
        grids: (B, G, H, W) each, with its share of every batch.
        options: of the fit.
        progress: called after every step.
        sequences: the grids are sequences (B, G, 1, N), all of one length.
        codebook: (G, K, D), for a compact network; None, or longer vectors than it can take: none.
    """
    groups = grids[0][0].shape[1]
    length = grids[0][0].shape[3] if sequences else 0
    vectors: list[Tensor] = []
    if codebook is not None and codebook.shape[2] <= MAX_SIZE:
        vectors = [rounded_vectors(own) for own in codebook]
    parts = []
    for group in range(groups):

        def numbered(name: str, step: int, steps: int, bits: float, group: int = group) -> None:
            named = name if groups == 1 else f"{name} of code {group + 1} of {groups}"
            progress(named, step, steps, bits)

        layout = Layout(codes, group, length)
        part = _fit_part(tokenizer, layout, grids, options, numbered)
        if vectors:
            compact = fit_compact(layout, vectors, grids, options, numbered)
            part = replace(part, compact=compact)
        parts.append(part)
    return joined(parts)


def fit_compact(
    layout: Layout,
    vectors: Sequence[Tensor],
    grids: Sequence[tuple[Tensor, float]],
    options: EntropyFitOptions,
    progress: ProgressCallback,
) -> CompactModel:
    """Fit the compact network of one code of a position; other arguments as of `fit_entropy`.

    Args:
        layout: of the code.
        vectors: (K, D) int8 of every code of a position.
    """
    generator = torch.Generator().manual_seed(options.seed)
    corpora = [(Corpus.of(grid, layout), share) for grid, share in grids]
    before = [vectors[layout.group - 1 - number] for number in range(layout.known)]
    earlier = torch.stack(before) if before else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = CompactNetwork(
            layout,
            options.compact_width,
            vectors[layout.group],
            earlier,
            _log_frequencies(corpora, layout.codes),
        )
    _descend_network("compact network", network, corpora, options, generator, progress)
    stored = {name: tensor.detach() for name, tensor in network.stored().items()}
    return CompactModel(**_integers(stored), earlier=earlier)


def _fit_part(
    tokenizer: str,
    layout: Layout,
    grids: Sequence[tuple[Tensor, float]],
    options: EntropyFitOptions,
    progress: ProgressCallback,
) -> EntropyModel:
    """Fit the model of one code of a position; arguments as of `fit_entropy`."""
    generator = torch.Generator().manual_seed(options.seed)
    corpora = [(Corpus.of(grid, layout), share) for grid, share in grids]
    log_frequencies = _log_frequencies(corpora, layout.codes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = Network(layout, options, log_frequencies)

    draw = _descend_network("network", network, corpora, options, generator, progress)
    stored = {name: tensor.detach() for name, tensor in network.stored().items()}
    tables: dict[str, Any] = fit_tables(stored, layout, log_frequencies, options, draw, progress)
    return EntropyModel(tokenizer, **_integers(stored), **tables)


def _descend_network(
    name: str,
    network: Network | CompactNetwork,
    corpora: Sequence[tuple[Corpus, float]],
    options: EntropyFitOptions,
    generator: torch.Generator,
    progress: ProgressCallback,
) -> Draw:
    """Train a network on batches of the corpora, each with its share; return what draws them."""

    def draw() -> tuple[Tensor, Tensor]:
        parts = []
        for corpus, share in corpora:
            parts.append(corpus.draw(math.ceil(share * options.batch), generator))
        columns, tokens = zip(*parts, strict=True)
        return torch.cat(columns), torch.cat(tokens)

    def loss(columns: Tensor, tokens: Tensor) -> Tensor:
        return mean_bits(network(columns), tokens)

    parameters: list[Tensor] = list(network.parameters())
    descend(name, parameters, loss, draw, options.steps, options.learning_rate, progress)
    return draw


def _integers(stored: Mapping[str, Tensor]) -> dict[str, Any]:
    """Stored tensors as integers: biases of 32 bits, all others of eight."""
    integers = {}
    for name, tensor in stored.items():
        integers[name] = tensor.to(torch.int32 if "bias" in name else torch.int8)
    return integers


@dataclass(frozen=True)
class Corpus:
    """Tokens with what is known about them.

    Args:
        columns: (N, columns) int16, as in EntropyModel.
        tokens: (N,) int16.
    """

    columns: Tensor
    tokens: Tensor

    @staticmethod
    def of(grids: Tensor, layout: Layout) -> Corpus:
        """Tokens of one code of each position of grids (B, G, H, W)."""
        group = layout.group
        columns = columns_of(layout, grids.long(), group, layout.columns)
        return Corpus(columns.flatten(0, 2).short(), grids[:, group].flatten().short())

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw columns (count, columns) and tokens (count,), int64."""
        chosen = torch.randint(len(self.tokens), (count,), generator=generator)
        return self.columns[chosen].long(), self.tokens[chosen].long()


def _log_frequencies(corpora: Sequence[tuple[Corpus, float]], codes: int) -> Tensor:
    """Binary logarithms (K,) of the codes' frequencies, by the corpora's shares."""
    parts = []
    for corpus, share in corpora:
        counts = torch.bincount(corpus.tokens.long(), minlength=codes)
        parts.append(share * counts / len(corpus.tokens))
    frequencies = torch.stack(parts).sum(0)
    return (frequencies / frequencies.sum() + UNSEEN_PROBABILITY).log2()
