"""The kind of image file, its quality and its side, chosen for a run's budget."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.specs import spec_text
from seit_cl.data.samples import Samples
from seit_cl.formats import build_format
from seit_cl.formats._candidates import (
    KINDS,
    Candidate,
    candidates,
    sizes_of,
    split_kinds,
    trial_of,
)
from seit_cl.formats._quality import CANDIDATES, ONE_CLASS
from seit_cl.formats._records import Records
from seit_cl.formats._trials import try_all
from seit_cl.formats.base import ExemplarFormat, FormatContext

# Place of the kind in `kinds`, from 1; quality; side in pixels or 0, as in `Candidate`.
_CHOICE = struct.Struct("<BBH")
_NONE = _CHOICE.pack(0, 0, 0)


@dataclass(frozen=True)
class AutoOptions:
    """Options of the format.

    Args:
        kinds: formats to choose from, joined by +.
        sides: sides to choose from, as percentages of the learner's resolution, joined by +.
    """

    kinds: str = KINDS
    sides: str = "100"


class AutoFormat:
    """The image format that suits a budget best, by the criterion of formats/_quality.py.

    It is chosen once, before the first sample is offered, among all kinds, the qualities of
    `quality=auto`, and all sides. The choice takes four bytes of the memory's file; what the chosen
    format itself shares among its records follows them.

    Args:
        options: the choices.
        context: the learner's resolution S in pixels.

    Raises:
        UserError: a kind that is unknown or has no quality, or a side outside 1..100 percent.
    """

    name = "auto"
    source = "the criterion of docs/memory.md, after MRDC, Wang et al., ICLR 2022"
    Options = AutoOptions
    domain: Literal["pixels", "tokens"] = "pixels"

    def __init__(self, options: AutoOptions, context: FormatContext) -> None:
        self.options = options
        self.context = context
        self.kinds = split_kinds(options.kinds)
        self.sizes = sizes_of(_percentages(options.sides), context.resolution)
        self.fixed_length: int | None = None
        self.codec_bytes = 0
        self._choice: Candidate | None = None
        self._format: ExemplarFormat | None = None

    @classmethod
    def build(cls, options: AutoOptions, context: FormatContext) -> Self:
        """Build the format."""
        return cls(options, context)

    @property
    def spec(self) -> str:
        """Canonical spec, e.g. "auto:kinds=jpeg_scan+webp_scan,sides=100"."""
        return spec_text(self.name, "", vars(self.options))

    @property
    def unfitted(self) -> bool:
        """True before `fit`."""
        return self._format is None

    @property
    def chosen(self) -> str:
        """Spec of the chosen format, e.g. "webp_scan:quality=25"; "" before `fit`."""
        return "" if self._choice is None else self._choice.spec

    @property
    def side_info(self) -> bytes:
        """Four bytes of the choice, zeros before `fit`, and the chosen format's own."""
        if self._choice is None or self._format is None:
            return _NONE
        place = self.kinds.index(self._choice.kind) + 1
        return _CHOICE.pack(place, self._choice.quality, self._choice.size) + self._format.side_info

    @side_info.setter
    def side_info(self, saved: bytes) -> None:
        """Set the choice that a memory file has.

        Raises:
            ValueError: no such choice.
        """
        if saved == self.side_info:
            return
        if len(saved) < _CHOICE.size:
            raise ValueError(f"{self.spec}: {saved!r} is no choice")
        place, quality, size = _CHOICE.unpack_from(saved)
        if not 1 <= place <= len(self.kinds) or size > self.context.resolution:
            raise ValueError(f"{self.spec}: {saved!r} is no choice")
        try:
            self._choose(Candidate(self.kinds[place - 1], quality, size))
        except UserError as error:
            raise ValueError(str(error)) from None
        assert self._format is not None
        if self._format.side_info != saved[_CHOICE.size :]:
            self._format.side_info = saved[_CHOICE.size :]

    def fit(
        self,
        samples: Samples,
        features: Callable[[Tensor], Tensor],
        exemplars_per_class: Callable[[float], float],
    ) -> None:
        """Choose the format (see formats/_quality.py); a second call changes nothing."""
        if not self.unfitted:
            return
        if len(samples.labels.unique()) == 1:
            self._choose(Candidate(self.kinds[0], ONE_CLASS, self.sizes[0]))
            return
        chosen = list(candidates(self.kinds, CANDIDATES, self.sizes))
        trials = [trial_of(candidate, self.context) for candidate in chosen]
        fresh = try_all(trials, samples, self.context.resolution, features)
        errors = []
        for candidate, trial in zip(chosen, trials, strict=True):
            count = exemplars_per_class(trial.mean_length)
            error = trial.error(fresh, samples.labels, count)
            errors.append((error, trial.mean_length, candidate.spec, candidate))
        self._choose(min(errors)[-1])

    def encode(self, samples: Samples) -> Records:
        """Encode samples (B,) as the chosen format does; before `fit`, as the first choice does."""
        return self._fitted().encode(samples)

    def decode(self, records: Records) -> Tensor:
        """Pixels (B, 3, S, S) uint8, on the CPU."""
        return self._fitted().decode(records)

    def _choose(self, candidate: Candidate) -> None:
        self._format = build_format(candidate.spec, self.context)
        self._choice = candidate

    def _fitted(self) -> ExemplarFormat:
        """Return the chosen format; before `fit` the first candidate, of the lowest quality."""
        if self._format is not None:
            return self._format
        first = next(candidates(self.kinds, CANDIDATES, self.sizes))
        return build_format(first.spec, self.context)


def _percentages(sides: str) -> list[int]:
    """Read percentages that are joined by +, e.g. "100+75".

    Raises:
        UserError: a part that is no whole number.
    """
    for part in sides.split("+"):
        if not part.isdecimal():
            raise UserError(
                f"sides={sides}: {part!r} is no percentage from 1 to 100; try sides=100+75"
            )
    return [int(part) for part in sides.split("+")]


FORMAT = AutoFormat
