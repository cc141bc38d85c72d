"""The contract of an exemplar format, and how its spec is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from seit_cl.data.samples import Samples
from seit_cl.formats._records import Records
from seit_cl.formats.entropy.model import EntropyModel


@dataclass(frozen=True)
class FormatContext:
    """What a format must know beside its own options; saved with the memory.

    Args:
        resolution: the learner's image side S in pixels.
        classes: number of classes C of the scenario.
        codes: codebook size K of the tokenizer.
        grid: (G, H, W) of a token grid at this resolution.
        tokenizer: the tokenizer's identity.
        entropy_model: reads the entropy model of the tokenizer's codes; not saved with the memory. None: the bundled
            model, where it was fitted to this tokenizer.
    """

    resolution: int
    classes: int
    codes: int
    grid: tuple[int, int, int]
    tokenizer: str
    entropy_model: Callable[[], EntropyModel] | None = field(
        default=None, compare=False, repr=False
    )


class ExemplarFormat(Protocol):
    """Encoder and decoder between samples and records. Built from its options and a FormatContext, which together rebuild
    it exactly; anything fitted to data is in `side_info` and stored with the memory."""

    domain: Literal["pixels", "tokens"]
    fixed_length: int | None
    side_info: bytes
    codec_bytes: int  # beside the tokenizer's, of what ships with it and not with the memory

    @property
    def spec(self) -> str:
        """The canonical spec with every option written out, e.g. "jpeg:quality=75,size=64"."""

    def encode(self, samples: Samples) -> Records:
        """Records of samples (B,)."""

    def decode(self, records: Records) -> Tensor:
        """One vectorised call for a batch: (B, 3, S, S) uint8 or (B, G, H, W) int16, by domain."""


@runtime_checkable
class FittedFormat(Protocol):
    """A format that may have to look at data and budget before it encodes. What it chose is in `side_info`."""

    unfitted: bool  # whether `fit` must be called first

    @property
    def chosen(self) -> str:
        """What it chose, in words; "" where its options left no choice."""

    def fit(
        self, samples: Samples, features: Callable[[Tensor], Tensor], fits: Callable[[float], float]
    ) -> None:
        """Choose.

        Args:
            samples: (B,) of several classes, like those to be stored.
            features: of images (B, 3, S, S) uint8, (B, F), each of unit length.
            fits: how many exemplars of each class would fit whose records have a mean length in bytes.
        """
