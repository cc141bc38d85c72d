"""Results of a pilot, read from the files of its runs: accuracies, differences, classes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from seit_cl.formats import build_format
from seit_cl.grid import run_folder
from seit_cl.piloting.plan import Arm, Plan
from seit_cl.reporting.grouping import budget_binds
from seit_cl.reporting.pairs import Difference
from seit_cl.results.intervals import difference_interval, mean_interval
from seit_cl.results.metrics import final_accuracy, tested_images
from seit_cl.results.replicates import replicate_of
from seit_cl.results.run_files import Run, read_run


@dataclass(frozen=True)
class ArmResult:
    """The finished runs of an arm.

    Args:
        arm: what was kept.
        runs: finished, at least one.
    """

    arm: Arm
    runs: tuple[Run, ...]

    @property
    def accuracy(self) -> tuple[float, float]:
        """Mean final accuracy and half the width of its 95 % interval, in percent."""
        step = 1 / min(tested_images(run.accuracy) for run in self.runs)
        values = [final_accuracy(run.accuracy) for run in self.runs]
        mean, half = mean_interval(values, [replicate_of(run) for run in self.runs], step)
        return 100 * mean, 100 * half

    @property
    def exemplars(self) -> float:
        """Mean number of images in the memory."""
        return self.mean("exemplars")

    @property
    def binds(self) -> bool:
        """True where the budget made a memory turn images away."""
        return any(budget_binds(run) for run in self.runs)

    @property
    def spec(self) -> str:
        """Spec of the format with the quality that most of the runs chose."""
        [(spec, _)] = Counter(_chosen(run) for run in self.runs).most_common(1)
        return spec

    @property
    def label(self) -> str:
        """The format as the page names it."""
        return "original files" if self.arm.is_original else self.spec

    def mean(self, name: str) -> float:
        """The mean of a value of the runs' metadata."""
        return sum(float(run.get(name, 0)) for run in self.runs) / len(self.runs)


def _chosen(run: Run) -> str:
    """Spec of a run's format, with what was chosen for the run in the place of "auto"."""
    spec, chosen = str(run.get("format")), str(run.get("format_chose", ""))
    if not chosen:
        return spec
    return spec.replace("quality=auto", chosen) if chosen.startswith("quality=") else chosen


def read_results(plan: Plan) -> list[ArmResult]:
    """Read the arms of a plan that have a finished run, in its order."""
    results = []
    for arm in plan.arms:
        folders = [run_folder(plan.options.folder, config) for config in plan.configs(arm)]
        runs = [read_run(folder) for folder in folders if (folder / "config.yaml").exists()]
        done = tuple(run for run in runs if run.status == "finished" and not run.damage)
        if done:
            results.append(ArmResult(arm, done))
    return results


def canonical(plan: Plan, spec: str) -> str:
    """The spec of a format as it is measured."""
    return build_format(spec, plan.context).spec


def chosen_formats(plan: Plan, results: Sequence[ArmResult]) -> list[str]:
    """Specs of all formats that runs stored, but the original files, each once."""
    specs = [canonical(plan, each.spec) for each in results if not each.arm.is_original]
    return list(dict.fromkeys(specs))


def best(results: Sequence[ArmResult], format: str, memory_mb: float) -> ArmResult | None:
    """The more accurate learner of a format in a memory of some MB; None without a run."""
    of_format = [each for each in results if each.arm.format == format]
    found = [each for each in of_format if each.arm.memory_mb == memory_mb]
    return max(found, key=lambda each: each.accuracy[0], default=None)


def reference(results: Sequence[ArmResult]) -> ArmResult | None:
    """All original files, with the learner that is more accurate on them; None without a run."""
    found = [each for each in results if each.arm.is_original and each.arm.keeps_all]
    return max(found, key=lambda each: each.accuracy[0], default=None)


def guessing(result: ArmResult) -> float:
    """Percent of the test images that are right if every answer is the class with most of them."""
    totals = _class_counts(result.runs)["total"]
    return 100 * float(totals.max() / totals.sum())


def difference(result: ArmResult, other: ArmResult) -> Difference | None:
    """Final accuracy of an arm minus another's over their pairs of seeds; None without a pair."""
    own = {replicate_of(run): final_accuracy(run.accuracy) for run in result.runs}
    others = {replicate_of(run): final_accuracy(run.accuracy) for run in other.runs}
    common = tuple(sorted(own.keys() & others.keys()))
    if not common:
        return None
    gains = [own[replicate] - others[replicate] for replicate in common]
    images = min(tested_images(run.accuracy) for run in (*result.runs, *other.runs))
    mean, half = difference_interval(gains, common, images)
    return Difference(100 * mean, 100 * half, common)


@dataclass(frozen=True)
class ClassLoss:
    """A class that ends lower than with the original files.

    Args:
        name: of the class.
        correct, total: right answers and test images, over the seeds that both have.
        other_correct, other_total: the same with the original files.
        images: lost a run, of the class's test images.
    """

    name: str
    correct: int
    total: int
    other_correct: int
    other_total: int
    images: float

    @property
    def points(self) -> float:
        """Difference in percentage points, below 0."""
        return 100 * (self.correct / self.total - self.other_correct / self.other_total)


def class_losses(result: ArmResult, other: ArmResult) -> list[ClassLoss]:
    """The classes that end lower than with the original files, the greatest loss first.

    Args:
        result: of a format.
        other: of the original files.
    """
    seeds = {replicate_of(run) for run in result.runs} & {replicate_of(run) for run in other.runs}
    if not seeds:
        return []
    own = _class_counts([run for run in result.runs if replicate_of(run) in seeds])
    originals = _class_counts([run for run in other.runs if replicate_of(run) in seeds])
    losses = []
    for name in own.index.intersection(originals.index):
        correct, total = own.loc[name]
        other_correct, other_total = originals.loc[name]
        share = other_correct / other_total - correct / total
        lost = share * total / len(seeds)
        losses.append(
            ClassLoss(
                str(name),
                int(correct),
                int(total),
                int(other_correct),
                int(other_total),
                float(lost),
            )
        )
    lower = [each for each in losses if each.points < 0]
    return sorted(lower, key=lambda each: (each.points, each.name))


def _class_counts(runs: Sequence[Run]) -> pd.DataFrame:
    """Right answers and test images of each class after the last experience, over some runs."""
    parts = []
    for run in runs:
        last = run.accuracy["after_experience"].max()
        parts.append(run.accuracy[run.accuracy["after_experience"] == last])
    counts = pd.concat(parts).groupby("class")[["correct", "total"]].sum()
    return counts[counts["total"] > 0]


def half_text(half: float) -> str:
    """Half the width of an interval, " ± 1.2"; "" for a single run."""
    return "" if math.isnan(half) else f" ± {half:.1f}"
