"""Contract of an exemplar format: encode samples into records of bytes, and decode them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.token_shapes import token_shape
from seit_cl.data.patches import PatchChoice
from seit_cl.data.samples import Samples
from seit_cl.formats._records import Records
from seit_cl.formats.entropy.model import EntropyModel


class TokenizerFacts(Protocol):
    """The part of a tokenizer that formats depend on (see `seit_cl.tokenizers.base`).

    Attributes:
        codebook: (G, K, D).
        stride: pixels per token side.
        identity: changes whenever the codes change.
    """

    codebook: Tensor
    stride: int
    identity: str

    @property
    def entropy_model(self) -> Callable[[], EntropyModel]:
        """Function that reads the entropy model of its codes."""


@dataclass(frozen=True)
class FormatContext:
    """Properties of a run that a format needs besides its options; saved with the memory.

    Formats of pixels need resolution and classes alone: `FormatContext(32, classes=10)`. For
    formats of tokens, `FormatContext.of` asks the tokenizer for the rest.

    Args:
        resolution: the learner's image side S in pixels.
        classes: number of classes C of the scenario.
        codes: codebook size K of the tokenizer; 0 without one.
        grid: (G, H, W) of a token grid at this resolution; zeros without a tokenizer.
        tokenizer: the tokenizer's identity; "" without one.
        entropy_model: function that reads the entropy model of the tokenizer's codes
            (Tokenizer.entropy_model); not saved with the memory. None: the bundled model, if it was
            fitted to this tokenizer.
    """

    resolution: int
    classes: int
    codes: int = 0
    grid: tuple[int, int, int] = (0, 0, 0)
    tokenizer: str = ""
    entropy_model: Callable[[], EntropyModel] | None = field(
        default=None, compare=False, repr=False
    )

    @classmethod
    def of(
        cls, resolution: int, classes: int, tokenizer: TokenizerFacts | None = None
    ) -> FormatContext:
        """Describe images of a side and, for formats of tokens, their tokenizer.

        Args:
            resolution: image side S in pixels.
            classes: number of classes C.
            tokenizer: as `seit_cl.open_tokenizer` returns it; None for formats of pixels.

        Raises:
            UserError: numbers below 1, or a side that the tokenizer's stride does not divide.
        """
        if resolution < 1 or classes < 1:
            raise UserError(
                f"resolution={resolution}, classes={classes}: give the images' side in pixels and "
                "the number of classes, each at least 1"
            )
        if tokenizer is None:
            return cls(resolution, classes)
        side = resolution // tokenizer.stride
        if resolution % tokenizer.stride:
            raise UserError(
                f"resolution={resolution}: the tokenizer takes multiples of {tokenizer.stride} px; "
                f"resize the images to {(side + 1) * tokenizer.stride} px"
            )
        return cls(
            resolution,
            classes,
            tokenizer.codebook.shape[1],
            token_shape(tokenizer, resolution),
            tokenizer.identity,
            tokenizer.entropy_model,
        )


class ExemplarFormat(Protocol):
    """Encoder and decoder between samples and records.

    Its options and a FormatContext rebuild a format exactly. Anything fitted to data is in
    `side_info`, which is stored with the memory.

    Attributes:
        domain: modality of decoded samples.
        fixed_length: bytes of every record; None where records differ in length.
        side_info: bytes fitted to data; b"" where nothing was.
        codec_bytes: bytes that encoding and decoding need besides the tokenizer and the memory.
    """

    domain: Literal["pixels", "tokens"]
    fixed_length: int | None
    side_info: bytes
    codec_bytes: int

    @property
    def spec(self) -> str:
        """Canonical spec with every option written out, e.g. "jpeg:quality=75,size=64"."""

    def encode(self, samples: Samples) -> Records:
        """Records of samples (B,)."""

    def decode(self, records: Records) -> Tensor:
        """Samples of records: (B, 3, S, S) uint8 pixels or (B, G, H, W) int16 tokens, by domain."""


@runtime_checkable
class FittedFormat(Protocol):
    """Format with an option that is fitted to data and budget before the first sample is encoded.

    Attributes:
        unfitted: True if `fit` must be called before `encode`.
    """

    unfitted: bool

    @property
    def chosen(self) -> str:
        """The fitted option, e.g. "quality=25"; "" before `fit`, or where it need not be fitted."""

    def fit(
        self,
        samples: Samples,
        features: Callable[[Tensor], Tensor],
        exemplars_per_class: Callable[[float], float],
    ) -> None:
        """Choose the option.

        Args:
            samples: (B,) of several classes, like those to be stored.
            features: from images (B, 3, S, S) uint8 to (B, F), each row of unit length.
            exemplars_per_class: from a mean record length in bytes to the number of exemplars of
                each class that would fit.
        """


@runtime_checkable
class LevelledFormat(Protocol):
    """Format whose records can be cut to their first levels, each of which takes bytes of its own.

    A record tells by itself how many levels it has. `decode` takes records of any number of levels
    beside one another, and marks what is missing: code -1 in a token grid.

    Attributes:
        levels: L, of a whole record; 1 where nothing can be cut.
    """

    levels: int

    def level_ends(self, record: NDArray[np.uint8]) -> Sequence[int]:
        """Bytes of a record (n,) cut to 1, 2, ... levels, as many numbers as it has levels.

        The last one is n, and each is larger than the one before it.

        Raises:
            ValueError: no record of this format has this length.
        """

    def cut(self, record: NDArray[np.uint8], levels: int) -> NDArray[np.uint8]:
        """Return the record of a sample's first levels, from one of as many levels or more."""


@runtime_checkable
class PartialFormat(Protocol):
    """Format that may store some positions of a grid alone; the others are -1 when decoded.

    Attributes:
        patches: the choice of the positions; None where all are stored.
    """

    patches: PatchChoice | None
