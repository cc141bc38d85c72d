"""Token grids: the codes of an image, of a fixed number of bits each or entropy-coded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.core.errors import UserError, nearest
from seit_cl.core.options import AREA, ranged
from seit_cl.data.patches import DEFAULT_SCORE, SCORES, PatchChoice
from seit_cl.data.samples import Samples
from seit_cl.formats._fixed_coder import FixedCoder
from seit_cl.formats._patch_coder import PatchCoder
from seit_cl.formats._records import Records
from seit_cl.formats.base import FormatContext
from seit_cl.formats.entropy.grids import CODERS, GridCoder
from seit_cl.formats.entropy.reader import EntropyReader

MAX_CODES = 1 << 15  # token grids are int16


@dataclass(frozen=True)
class TokensOptions:
    """Options of the tokens format.

    Args:
        coder: "fixed": ceil(log2 K) bits per code; "table": entropy-coded with tables, fast;
            "context": entropy-coded with a network, dense; "compact": with a network of a few
            kilobytes, nearly as dense.
        keep: share of a grid's positions that are stored, those of the highest scores.
        score: a name in `seit_cl.data.patches.SCORES`.
    """

    coder: str = "fixed"
    keep: float = ranged(1.0, AREA)
    score: str = DEFAULT_SCORE


class Coder(Protocol):
    """Encoder and decoder between token grids and records."""

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Shape of one grid, as the coder takes it."""

    def encode(self, tokens: Tensor) -> Records:
        """Encode grids (B, *grid_shape)."""

    def decode(self, records: Records) -> Tensor:
        """Grids (B, *grid_shape) int16."""


class TokensFormat:
    """Token grids (G, H, W), encoded by one of several coders.

    Args:
        options: the coder.
        context: codebook size K, grid (G, H, W), and the tokenizer's identity and entropy model.

    Raises:
        UserError: more codes than int16 can hold, no such coder, or no entropy model for it.
    """

    Options = TokensOptions
    source = "Park et al., ICCV 2023 (SeiT)"
    domain: Literal["pixels", "tokens"] = "tokens"

    def __init__(self, options: TokensOptions, context: FormatContext) -> None:
        if not context.codes:
            raise UserError(
                "tokens: needs the tokenizer that makes them; give "
                "tokenizer=seit_cl.open_tokenizer()"
            )
        if not 1 <= context.codes <= MAX_CODES:
            raise UserError(
                f"tokens: a codebook of {context.codes} codes; 1..{MAX_CODES} can be stored"
            )
        self.options = options
        self.codes = context.codes
        self.grid = context.grid
        self.fixed_length: int | None = None
        self.levels = 1
        self.codec_bytes = 0
        self._model_identity = b""
        self._coder: Coder
        self.patches = None if options.keep == 1.0 else build_patches(options, context)
        if options.coder == "fixed":
            fixed: FixedCoder | PatchCoder = FixedCoder(context.codes, context.grid)
            if self.patches is not None:
                fixed = PatchCoder(context.codes, context.grid, self.patches)
            self.fixed_length = fixed.length
            self.levels = fixed.levels
            self._coder = fixed
        else:
            entropy_coder = build_entropy_coder(options.coder, context)
            self.codec_bytes = entropy_coder.codec_bytes
            self._model_identity = entropy_coder.identity
            self._coder = entropy_coder

    @classmethod
    def build(cls, options: TokensOptions, context: FormatContext) -> Self:
        """Build the format."""
        return cls(options, context)

    @property
    def side_info(self) -> bytes:
        """Identity of the entropy model that records are written with; b"" for coder=fixed."""
        return self._model_identity

    @side_info.setter
    def side_info(self, saved: bytes) -> None:
        """Check the side_info of a memory file.

        Raises:
            UserError: its records were written with another model and cannot be decoded.
        """
        if saved != self._model_identity:
            raise UserError(
                f"{self.spec}: these records were written with another entropy model than the "
                "tokenizer's; put the earlier model's file next to the tokenizer's"
            )

    @property
    def spec(self) -> str:
        """Canonical spec: "tokens", or e.g. "tokens:coder=context" or "tokens:keep=0.5,score=S"."""
        if self.patches is not None:
            return f"tokens:keep={self.options.keep},score={self.options.score}"
        return "tokens" if self.options.coder == "fixed" else f"tokens:coder={self.options.coder}"

    def encode(self, samples: Samples) -> Records:
        """Encode the token grids (B, G, H, W) of samples.

        Raises:
            UserError: a grid of another shape, or a code outside 0..K-1.
        """
        tokens = samples.tokens()
        self._check(tokens)
        return self._coder.encode(tokens.reshape(len(tokens), *self._coder.grid_shape))

    def decode(self, records: Records) -> Tensor:
        """Token grids (B, G, H, W) int16, on the records' device; -1 for codes without bytes."""
        return self._coder.decode(records).reshape(len(records), *self.grid)

    def level_ends(self, record: NDArray[np.uint8]) -> Sequence[int]:
        """Bytes of a record cut to 1, 2, ... levels, as many numbers as it has levels.

        Raises:
            ValueError: no record has this length.
        """
        if isinstance(self._coder, FixedCoder | PatchCoder):
            return self._coder.level_ends(len(record))
        return (len(record),)

    def cut(self, record: NDArray[np.uint8], levels: int) -> NDArray[np.uint8]:
        """Return the record of the first levels, codes of a position, of a record."""
        if isinstance(self._coder, FixedCoder | PatchCoder):
            return self._coder.cut(record, levels)
        return record

    def _check(self, tokens: Tensor) -> None:
        """Check the shape and codes of grids (B, G, H, W).

        Raises:
            UserError: a grid of another shape, or a code outside 0..K-1.
        """
        shape = tuple(tokens.shape[1:])
        if shape != tuple(self.grid):
            raise UserError(
                f"tokens: grids of shape {shape} where {tuple(self.grid)} was expected; "
                "use the tokenizer and resolution of the earlier run"
            )
        if tokens.numel() == 0:
            return
        low, high = (int(code) for code in torch.aminmax(tokens))
        if low < 0 or high >= self.codes:
            wrong = low if low < 0 else high
            raise UserError(
                f"tokens: code {wrong} is outside 0..{self.codes - 1}; use the tokenizer that made "
                "the tokens"
            )


def build_patches(options: TokensOptions, context: FormatContext) -> PatchChoice:
    """Build the choice of the positions that are stored.

    Raises:
        UserError: no such score, an entropy coder, or tokens without places in the image.
    """
    asked = f"tokens:keep={options.keep:g}"
    if options.score not in SCORES:
        raise UserError(
            f"{asked}: score={options.score} is none of {', '.join(SCORES)}; "
            f"{nearest(options.score, SCORES)}"
        )
    if options.coder != "fixed":
        raise UserError(
            f"{asked}: coder={options.coder} codes whole grids alone; leave coder or keep out"
        )
    if context.grid[1] == 1:
        raise UserError(
            f"{asked}: tokens of this tokenizer are a sequence without places in the image, of "
            "which no part can be kept; leave keep out"
        )
    return PatchChoice(options.keep, options.score, context.grid[1:])


def build_entropy_coder(name: str, context: FormatContext) -> GridCoder:
    """Build the entropy coder of a name in CODERS for a tokenizer's grids.

    Raises:
        UserError: no such coder, no entropy model of these codes, or one of other grids.
    """
    if name not in CODERS:
        names = ["fixed", *CODERS]
        raise UserError(
            f"tokens: coder={name} is none of {', '.join(names)}; {nearest(name, names)}"
        )
    read_model = context.entropy_model or EntropyReader(context.tokenizer)
    model = read_model()
    groups, height, width = context.grid
    fits = len(model.parts) == groups and (model.length or width) == width
    if not fits:
        raise UserError(
            f"tokens: coder={name}: the entropy model is of other grids than {groups} x {height} x "
            f"{width}; fit it again with python -m seit_cl.tokenize entropy, or use coder=fixed"
        )
    return CODERS[name](model, height, width)


FORMAT = TokensFormat
