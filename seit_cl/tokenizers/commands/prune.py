"""`python -m seit_cl.tokenize prune`: remove the codes that a data set does not use."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from rich.console import Console
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.progress import images_bar
from seit_cl.data.decoding import limit_pixels
from seit_cl.datasets import list_data
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution, encode_chunks
from seit_cl.tokenizers.base import Tokenizer
from seit_cl.tokenizers.commands.options import Prune


@runtime_checkable
class Prunable(Tokenizer, Protocol):
    """A tokenizer whose codes can be pruned, and which can be saved."""

    def pruned(self, uses: Tensor) -> Prunable:
        """Make the tokenizer of those codes that are used.

        Args:
            uses: (K,) int64, number of uses of each code.

        Raises:
            UserError: fewer than two codes are used.
        """

    def save(self, path: Path) -> None:
        """Write it to a file that `--tokenizer` takes."""


def prune_command(options: Prune) -> None:
    """Run `tokenize prune`.

    Raises:
        UserError: a kind that cannot be pruned, a side that does not fit, a folder that cannot be
            read or written, or fewer than two codes in use.
    """
    if options.out.suffix != ".safetensors" or not options.out.parent.is_dir():
        raise UserError(f"--out {options.out}: give a .safetensors file in a folder that exists")
    tokenizer = open_tokenizer(options.tokenizer)
    if not isinstance(tokenizer, Prunable) or len(tokenizer.codebook) != 1:
        raise UserError(
            f"--tokenizer {options.tokenizer}: codes of this kind cannot be pruned; "
            "vit_vqgan, vqgan, llamagen and ibq can"
        )
    check_resolution(options.resolution, tokenizer.stride)
    limit_pixels(options.max_pixels)
    dataset = list_data(options.data_root)
    console = Console()
    codes = tokenizer.codebook.shape[1]
    uses = torch.zeros(codes, dtype=torch.int64)
    with images_bar("tokenizing", len(dataset.train), console) as advance:
        for tokens in encode_chunks(dataset.train.images, tokenizer, options.resolution):
            uses += torch.bincount(tokens.flatten().long(), minlength=codes)
            advance(len(tokens))
    pruned = tokenizer.pruned(uses)
    pruned.card["pruned"] = (
        f"{pruned.codebook.shape[1]} of {codes} codes, those that {len(dataset.train)} images of "
        f"{dataset.name}/train use at {options.resolution} px"
    )
    try:
        pruned.save(options.out)
    except OSError as error:
        raise UserError(
            f"--out {options.out}: cannot be written ({error.strerror}); choose another place"
        ) from error
    console.print(f"{options.out}: {pruned.card['pruned']}; identity {pruned.identity}")
