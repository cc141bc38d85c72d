"""Seconds and images of the phases of a run, from facts.json.

Results from before phases were recorded have the time of training alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from seit_cl.results.run_files import Run

PHASES = ("tokenize", "train", "remember", "test")


class Phase(NamedTuple):
    """The work of one phase of a run.

    Args:
        seconds: of all of it.
        images: processed in it.
        cores: the number of processor threads that it could use, 1 on a GPU.
        cpu_seconds: of the processor, of all threads; nan where it was not recorded.
    """

    seconds: float
    images: float
    cores: float
    cpu_seconds: float = math.nan


def recorded_phases(run: Run) -> dict[str, Phase]:
    """The phases that a run recorded, by name; {} for older results."""
    phases = run.metadata.get("phases")
    if not isinstance(phases, dict):
        return {}
    recorded = {}
    for name in PHASES:
        if name in phases:
            values = {field: phases[name].get(field, math.nan) for field in Phase._fields}
            recorded[name] = Phase(**values)
    return recorded


def phases(run: Run) -> dict[str, Phase]:
    """The phases of a run, by name.

    Older results have "train" alone, for all learning, writes to the memory included; its images
    are those of full batches.
    """
    if isinstance(run.metadata.get("phases"), dict):
        return recorded_phases(run)
    batch = float(run.config.get("batch", 0))
    if run.get("memory_bytes"):
        batch += float(run.config.get("replay_batch", 0))
    seconds = float(run.get("train_seconds") or 0)
    steps = float(run.get("steps") or 0)
    if not (seconds and steps and batch):
        return {}
    return {"train": Phase(seconds, steps * batch, 1)}
