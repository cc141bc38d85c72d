"""The contract of an exemplar format, and how its spec is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

from torch import Tensor

from seit_cl.errors import UserError, nearest
from seit_cl.records import Records
from seit_cl.samples import Samples


@dataclass(frozen=True)
class FormatContext:
    """What a format must know beside its own options; saved with the memory.

    Args:
        resolution: the learner's image side S in pixels.
        classes: number of classes C of the scenario.
        codes: codebook size K of the tokenizer.
        grid: (G, H, W) of a token grid at this resolution.
        tokenizer: the tokenizer's identity.
    """

    resolution: int
    classes: int
    codes: int
    grid: tuple[int, int, int]
    tokenizer: str


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


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Split "jpeg:quality=30,size=64" into its name and options.

    Raises:
        UserError: an option without "=" or given twice.
    """
    name, _, rest = spec.partition(":")
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key in options:
            raise UserError(
                f"{spec!r}: option {part!r} is not key=value or is given twice; write {name}:key=value,key=value"
            )
        options[key.replace("-", "_")] = value
    return name, options


def fill_options(cls: type[Any], spec: str, given: dict[str, str]) -> Any:
    """Build the frozen dataclass of options `cls` from strings.

    Raises:
        UserError: an unknown option, or a value of the wrong type.
    """
    known = {f.name: f for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key not in known:
            raise UserError(
                f"{spec!r}: unknown option {key!r}; {nearest(key, known) if known else 'it has no options'}"
            )
        kind: Callable[[str], Any] = type(known[key].default)
        try:
            values[key] = kind(text)
        except ValueError:
            raise UserError(f"{spec!r}: {key}={text!r} is not of type {kind.__name__}") from None
    return cls(**values)
