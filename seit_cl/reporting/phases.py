"""Seconds and images of the phases of a run, from facts.json.

Results from before phases were recorded have the time of training alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from seit_cl.results.run_files import Run

PHASES = ("tokenize", "train", "remember", "test")


class Phase(NamedTuple):
    """The work of one phase of a run.

    Args:
        seconds: of all of it.
        images: processed in it.
        cores: the number of processor threads that it could use, 1 on a GPU.
    """

    seconds: float
    images: float
    cores: float


def recorded_phases(run: Run) -> dict[str, Phase]:
    """The phases that a run recorded, by name; {} for older results."""
    phases = run.metadata.get("phases")
    if not isinstance(phases, dict):
        return {}
    return {name: Phase(**values) for name, values in phases.items() if name in PHASES}


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


def core_seconds(runs: Sequence[Run], tokenized: bool) -> float:
    """The seconds of a processor core that it took to make one exemplar.

    Args:
        runs: of one format.
        tokenized: whether images are tokenized before they are encoded.

    Returns:
        the time of encoding and selection, and of tokenizing; nan if no run recorded a phase of it.
    """
    names = ("tokenize", "remember") if tokenized else ("remember",)
    total = 0.0
    for name in names:
        seconds = 0.0
        images = 0.0
        for run in runs:
            phase = recorded_phases(run).get(name)
            if phase is not None:
                seconds += phase.seconds * phase.cores
                images += phase.images
        total += seconds / images if images else math.nan
    return total
