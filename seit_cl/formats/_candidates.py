"""Image formats compared without training, by the criterion of `_quality.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.specs import spec_text
from seit_cl.data.samples import Samples
from seit_cl.formats import build_format, format_class
from seit_cl.formats._image_file import ImageFileFormat
from seit_cl.formats._records import Records
from seit_cl.formats._trials import Features, Trial, blocks_of
from seit_cl.formats.base import FormatContext

# One file format each, in the variant with the shortest records.
KINDS = "jpeg_scan+webp_scan+avif_scan"


@dataclass(frozen=True)
class Candidate:
    """One way to store images.

    Args:
        kind: name of the format.
        quality: of its library.
        size: side in pixels at which images are stored; 0: the learner's.
    """

    kind: str
    quality: int
    size: int

    @property
    def spec(self) -> str:
        """Spec of the format, e.g. "webp_scan:quality=25" or "webp_scan:quality=25,size=48"."""
        options = {"quality": self.quality}
        if self.size:
            options["size"] = self.size
        return spec_text(self.kind, "", options)


def split_kinds(kinds: str) -> list[str]:
    """Split names of formats that are joined by +, and check that each has a quality.

    Raises:
        UserError: a name that is unknown, given twice or of a format without a quality.
    """
    names = [name.replace("-", "_") for name in kinds.split("+")]
    for name in names:
        plugin = format_class(name)
        lossy = issubclass(plugin, ImageFileFormat) and hasattr(plugin.Options, "quality")
        if not lossy or names.count(name) > 1:
            problem = "is named twice" if lossy else "has no quality"
            raise UserError(f"kinds={kinds}: {name} {problem}; try kinds={KINDS}")
    return names


def sizes_of(sides: Sequence[int], resolution: int) -> list[int]:
    """Turn percentages of the learner's side into sides in pixels, each once; 0 for 100 %.

    Raises:
        UserError: a percentage outside 1..100.
    """
    sizes = []
    for side in sides:
        if not 1 <= side <= 100:
            raise UserError(f"sides: '{side}' is no percentage from 1 to 100; try 100 or 75")
        sizes.append(0 if side == 100 else max(1, round(resolution * side / 100)))
    return list(dict.fromkeys(sizes))


def candidates(
    kinds: Sequence[str], qualities: Sequence[int], sizes: Sequence[int]
) -> Iterator[Candidate]:
    """Yield every combination, kinds outermost."""
    for kind in kinds:
        for size in sizes:
            for quality in qualities:
                yield Candidate(kind, quality, size)


def trial_of(candidate: Candidate, context: FormatContext) -> Trial:
    """Make the trial of a candidate, in a context that gives the learner's resolution."""
    fmt = build_format(candidate.spec, context)

    def store(samples: Samples) -> tuple[Records, Tensor]:
        records = fmt.encode(samples)
        return records, fmt.decode(records)

    return Trial(store)


def try_candidate(
    candidate: Candidate, context: FormatContext, samples: Samples, features: Features
) -> Trial:
    """Store and decode samples (B,) as a candidate does.

    Args:
        candidate: the way to store them.
        context: gives the learner's resolution.
        samples: (B,) of several classes.
        features: from images (B, 3, S, S) uint8 to (B, F), each row of unit length.
    """
    trial = trial_of(candidate, context)
    for block in blocks_of(samples, context.resolution):
        trial.add(block, features)
    return trial
