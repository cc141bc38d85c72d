"""What is known of the tokenizer that made a token file, where the tokenizer itself is not at hand."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.token_file import TokenFile
from seit_cl.formats.entropy.reader import EntropyReader
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer


class StoredTokenizer:
    """A Tokenizer (seit_cl.tokenizers.base) that neither encodes nor decodes: the codebook that tokens index, and their size.

    What entropy coders know of its codes is taken from NAME.entropy.safetensors beside NAME.safetensors, where that is.

    Args:
        file: the token file.
    """

    decodes = False

    def __init__(self, file: TokenFile) -> None:
        about = file.metadata
        self.path: Path = file.path
        self.codebook, self.mirror = about.codebook, about.mirror
        self.combine, self.stride, self.codec_bytes = about.combine, about.stride, about.codec_bytes
        self.identity, self.card = about.tokenizer, dict(about.notes)
        self.entropy_model = EntropyReader(self.identity, file.path)

    def to(self, device: torch.device | str) -> StoredTokenizer:
        """Move to a device, in place."""
        self.codebook = self.codebook.to(device)
        self.mirror = None if self.mirror is None else self.mirror.to(device)
        return self

    def encode(self, images: Tensor) -> Tensor:
        """Raises UserError: images cannot become tokens here."""
        raise UserError(
            f"{self.path}: holds tokens and not the tokenizer {self.identity} that made them; images need it"
        )

    def decode(self, tokens: Tensor) -> Tensor:
        """Raises UserError: tokens give no images back here."""
        raise UserError(
            f"{self.path}: gives no images back, for it holds tokens and not the tokenizer {self.identity}"
        )


def tokenizer_behind(file: TokenFile, spec: str | None) -> Tokenizer:
    """The tokenizer that made a token file, where it is the one of the spec or, without one, the bundled one; else what the file
    knows of it.

    Raises:
        UserError: a bad spec, or another tokenizer's.
    """
    found = open_tokenizer(spec or DEFAULT_TOKENIZER)
    if found.identity == file.metadata.tokenizer:
        return found
    if spec is not None:
        raise UserError(
            f"--tokenizer {spec}: is {found.identity}, and {file.path} was made by {file.metadata.tokenizer}; give that "
            "one, or none"
        )
    return StoredTokenizer(file)
