"""The outcome of a finished run in a few words."""

from __future__ import annotations

import math

from seit_cl.core.numbers import duration
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run


def outcome_text(run: Run) -> str:
    """The final accuracy and the training time of a finished run, such as "31.2 %, 14 s".

    Args:
        run: as read back; where its files say neither, its status is returned.
    """
    parts = []
    accuracy = final_accuracy(run.accuracy)
    if not math.isnan(accuracy):
        parts.append(f"{100 * accuracy:.1f} %")
    seconds = run.metadata.get("train_seconds")
    if isinstance(seconds, int | float):
        parts.append(f"{duration(seconds)} of training")
    return ", ".join(parts) or run.status
