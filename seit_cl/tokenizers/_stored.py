"""The tokenizer of a token file, with or without the weights that made it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.token_file import TokenFile
from seit_cl.formats.entropy.reader import EntropyReader
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer


class StoredTokenizer:
    """A Tokenizer (seit_cl.tokenizers.base) without weights: a token file's codebook and stride.

    It neither encodes nor decodes. Its entropy model is in NAME.entropy.safetensors beside
    NAME.safetensors, where that file exists.

    Args:
        file: the token file.
    """

    decodes = False

    def __init__(self, file: TokenFile) -> None:
        about = file.metadata
        self.path: Path = file.path
        self.codebook = about.codebook
        self.mirror = about.mirror
        self.combine = about.combine
        self.stride = about.stride
        _, height, width = file.grid
        self.row = width // max(1, height)
        self.codec_bytes = about.codec_bytes
        self.identity = about.tokenizer
        self.card = dict(about.notes)
        self.entropy_model = EntropyReader(self.identity, file.path)

    def to(self, device: torch.device | str) -> StoredTokenizer:
        """Move to a device, in place."""
        self.codebook = self.codebook.to(device)
        self.mirror = None if self.mirror is None else self.mirror.to(device)
        return self

    def encode(self, images: Tensor) -> Tensor:
        """Refuse: there are no weights to encode with.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"{self.path}: holds tokens and not the tokenizer {self.identity} that made them; "
            "encoding images needs it"
        )

    def decode(self, tokens: Tensor) -> Tensor:
        """Refuse: there are no weights to decode with.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"{self.path}: does not decode to images: it holds tokens and not the tokenizer "
            f"{self.identity} that made them"
        )


def tokenizer_behind(file: TokenFile, spec: str | None) -> Tokenizer:
    """Open the tokenizer that made a token file, or else what the file holds of it.

    Args:
        file: the token file.
        spec: of the tokenizer; None: the bundled one, where that made the file.

    Raises:
        UserError: a bad spec, or the spec of another tokenizer.
    """
    tokenizer = open_tokenizer(spec or DEFAULT_TOKENIZER)
    if tokenizer.identity == file.metadata.tokenizer:
        return tokenizer
    if spec is not None:
        raise UserError(
            f"--tokenizer {spec}: is {tokenizer.identity}, and {file.path} was made by "
            f"{file.metadata.tokenizer}; give that one, or none"
        )
    return StoredTokenizer(file)
