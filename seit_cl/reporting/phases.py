"""Seconds and images of the phases of runs, from facts.json; results of before they were noted have training alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from seit_cl.results.run_files import Run

PHASES = ("tokenize", "train", "remember", "test")


class Phase(NamedTuple):
    """What a phase of a run took. Cores are the processor threads that it could use, 1 on a GPU."""

    seconds: float
    images: float
    cores: float


def phases(run: Run) -> dict[str, Phase]:
    """The phases that a run noted. Of older runs "train" is all learning, remembering included, and its images are those of
    full batches."""
    noted = run.metadata.get("phases")
    if isinstance(noted, dict):
        return {name: Phase(**values) for name, values in noted.items() if name in PHASES}
    seconds, steps = run.get("train_seconds"), run.get("steps")
    batch = float(run.config.get("batch", 0)) + (
        float(run.config.get("replay_batch", 0)) if run.get("memory_bytes") else 0
    )
    if not seconds or not steps or not batch:
        return {}
    return {"train": Phase(float(seconds), float(steps) * batch, 1)}


def core_seconds(runs: Sequence[Run], tokenized: bool) -> float:
    """Seconds of a core that it took to make one exemplar: to encode and select it, and to tokenize it first where the format
    stores tokens; nan where no run noted it."""
    total = 0.0
    for name in ("tokenize", "remember") if tokenized else ("remember",):
        found = [
            phase
            for run in runs
            if isinstance(run.metadata.get("phases"), dict) and (phase := phases(run).get(name))
        ]
        images = sum(phase.images for phase in found)
        total += (
            sum(phase.seconds * phase.cores for phase in found) / images if images else math.nan
        )
    return total
