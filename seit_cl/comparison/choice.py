"""The order in which runs of a sweep are preferred, for the plan and for the page alike."""

from __future__ import annotations

from seit_cl.results.metrics import average_incremental_accuracy, final_accuracy
from seit_cl.results.run_files import Run


def preference(run: Run) -> tuple[float, float, str]:
    """Sort key of a finished run, the best first.

    Final accuracy counts, then the average incremental one, since few validation images often give
    equal counts, and then the run's name.
    """
    return (-final_accuracy(run.accuracy), -average_incremental_accuracy(run.accuracy), run.run_id)
