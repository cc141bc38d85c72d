"""Notes on a finished run's memory: a budget that was too large to matter, or too small."""

from __future__ import annotations

from seit_cl.core.numbers import significant
from seit_cl.memory.buffer import ByteBudgetBuffer

WARNING = "warning:"  # begins a note on a budget that was too small


def memory_notes(memory: ByteBudgetBuffer | None, classes: int) -> list[str]:
    """Describe how well the budget suited a run, each note with advice.

    Args:
        memory: of the finished run; None gives no notes.
        classes: number of classes C of the stream.
    """
    if memory is None:
        return []
    notes = []
    used_mb = memory.used_bytes / 1e6
    budget_mb = memory.budget_bytes / 1e6
    if not memory.full and not memory.skipped:
        advised = float(f"{used_mb / 5:.1g}")
        notes.append(
            f"the budget did not bind: {significant(used_mb, 3)} of {budget_mb:g} MB used; "
            f"try --memory-mb {advised:g}"
        )
    if len(memory) < memory.max_exemplars:
        notes.append(
            f"--max-exemplars {memory.max_exemplars} did not bind: the memory holds {len(memory)}; "
            "raise --memory-mb for that number of this format"
        )
    elif memory.max_exemplars:
        notes.append(f"{len(memory)} exemplars, as --max-exemplars allows, take {used_mb:.6f} MB")
    if memory.skipped:
        samples = "1 sample" if memory.skipped == 1 else f"{memory.skipped} samples"
        notes.append(
            f"{WARNING} larger than the whole memory: the record of {samples}; raise --memory-mb"
        )
    if memory.classes_covered < classes:
        notes.append(
            f"{WARNING} the memory covers {memory.classes_covered} of {classes} classes; "
            "raise --memory-mb"
        )
    return notes
