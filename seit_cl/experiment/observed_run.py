"""A run with its tracker: what every caller of an experiment does around it."""

from __future__ import annotations

from collections.abc import Callable

from seit_cl.config import TrackerKind
from seit_cl.core.files import make_folder, sweep
from seit_cl.core.locks import locked_folder
from seit_cl.experiment.events import ExperienceInfo, StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.finished import is_finished
from seit_cl.experiment.memory_notes import memory_notes
from seit_cl.experiment.tracking import open_tracker
from seit_cl.results import run_writer

FINISHED_ELSEWHERE = "another process has finished this run"


def run_observed(
    experiment: Experiment, tracker_kind: TrackerKind, on_step: Callable[[StepInfo], None]
) -> list[str]:
    """Run an experiment in a locked folder, log it to a tracker, and return notes on its memory.

    Of several ranks, the first one holds the lock and has the tracker.

    Args:
        experiment: the run.
        tracker_kind: where it is logged.
        on_step: called after every training step.

    Raises:
        UserError: the run failed for its options, another process is making it, or the tracker
            cannot begin.
    """
    ranks = experiment.ranks
    if not ranks.is_first:
        if ranks.of_first(False):
            return [FINISHED_ELSEWHERE]
        return _run_tracked(experiment, "none", on_step)
    make_folder(experiment.run_dir)
    with locked_folder(experiment.run_dir) as lock:
        # It was not when it was planned.
        if ranks.of_first(is_finished(experiment.config, experiment.run_dir)):
            return [FINISHED_ELSEWHERE]
        sweep(experiment.run_dir, ours=True)
        if lock.about:
            run_writer.log(experiment.run_dir, f"lock: {lock.about}")

        def on_locked_step(info: StepInfo) -> None:
            lock.report(share_done(info))
            on_step(info)

        return _run_tracked(experiment, tracker_kind, on_locked_step)


def _run_tracked(
    experiment: Experiment, tracker_kind: TrackerKind, on_step: Callable[[StepInfo], None]
) -> list[str]:
    """Run an experiment and log it to a tracker."""
    tracker = open_tracker(tracker_kind, experiment.config, experiment.run_dir)

    def step(info: StepInfo) -> None:
        on_step(info)
        if tracker is not None:
            tracker.step(info)

    def experience(info: ExperienceInfo) -> None:
        if tracker is not None:
            tracker.experience(info)

    try:
        experiment.run(step, experience)
    finally:
        if tracker is not None:
            tracker.close()
    return memory_notes(experiment.memory, len(experiment.class_names))


def share_done(info: StepInfo) -> float:
    """Return the share of a run's epochs that is done, from 0 to 1."""
    epochs_done = info.experience * info.epochs + info.epoch + info.step / info.steps
    return epochs_done / (info.experiences * info.epochs)


def status_line(experiment: Experiment, info: StepInfo) -> str:
    """Describe a run in progress: experience, epoch, speed, memory used and accuracy so far."""
    speed = info.samples / max(info.seconds, 1e-9)
    parts = [
        f"experience {info.experience + 1}/{info.experiences}",
        f"epoch {min(info.epoch + 1, info.epochs)}/{info.epochs}",
        f"{speed:,.0f} images/s",
    ]
    memory = experiment.memory
    if memory is not None:
        parts.append(f"memory {100 * memory.used_bytes / memory.budget_bytes:.0f} %")
    accuracy = experiment.record.accuracy_so_far
    if accuracy is not None:
        parts.append(f"accuracy {100 * accuracy:.1f} %")
    return " ".join(parts)
