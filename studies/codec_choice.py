"""Accuracies of finished runs beside the errors by which a codec is chosen without training.

Two criteria: the small replay of `quality=auto`, and its control, a classifier of stored images
alone, which was the criterion of earlier versions. The runs differ in image codec and budget, and
all learn tokens of one data set.

    python -m studies.codec_choice DIR
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from scipy.stats import spearmanr

from seit_cl import RunConfig, RunResult, read_runs
from seit_cl.comparison.ranking import Ranker
from seit_cl.core.cli import parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.specs import Spec
from seit_cl.experiment.run_data import RunData
from seit_cl.formats._candidates import Candidate, try_candidate
from seit_cl.formats._quality import classifier_error, replay_error
from seit_cl.reporting.markdown import page, publish, table, typed_command

# Options that decide on the images of the first experience.
OF_STREAM = (
    "scenario",
    "experiences",
    "first_classes",
    "class_order_seed",
    "resolution",
    "validation_fraction",
    "validation_seed",
    "test_on",
)
HEAD = ["memory, MB", "codec", "exemplars", "final %", "error, small replay", "error, stored alone"]


@dataclass(frozen=True)
class Options:
    """Options of the study."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of finished runs")]
    write: Annotated[Path | None, tyro.conf.arg(help="file to write the page into")] = None


@dataclass(frozen=True)
class Choice:
    """A run and the errors that were to foretell it.

    Args:
        budget: MB.
        codec: spec of the format.
        exemplars: in the memory at the end.
        accuracy: final, from 0 to 1.
        replay: error of the small replay.
        alone: error of a classifier of stored images alone.
    """

    budget: float
    codec: str
    exemplars: int
    accuracy: float
    replay: float
    alone: float


def choices(results: list[RunResult]) -> list[Choice]:
    """Compute the errors of each run's codec, with as many exemplars as the run ended with.

    Raises:
        UserError: runs of several streams, or of a format without a quality.
    """
    config = _config_of(results)
    ranker = Ranker(config, RunData(config))
    labels = ranker.samples.labels
    made = []
    for result in results:
        codec = str(result.run.config["format"])
        exemplars = int(result.facts["exemplars"])
        per_class = exemplars / ranker.context.classes
        trial = try_candidate(_candidate(codec), ranker.context, ranker.samples, ranker.features)
        replay = replay_error(trial.features, ranker.fresh, labels, per_class)
        alone = classifier_error(trial.features, ranker.fresh, labels, max(1, int(per_class)), 0)
        budget = float(result.run.config["memory_mb"])
        made.append(Choice(budget, codec, exemplars, result.final_accuracy, replay, alone))
    return sorted(made, key=lambda choice: (choice.budget, -choice.accuracy))


def _config_of(results: list[RunResult]) -> RunConfig:
    """Options of the runs' common stream."""
    streams = [_stream_of(result) for result in results]
    if not streams or any(stream != streams[0] for stream in streams):
        raise UserError("the runs have several streams, or there are none; give a folder of one")
    data_root = Path(str(results[0].run.config["data_root"]))
    return RunConfig(data_root=data_root, format="jpeg", **streams[0])


def _stream_of(result: RunResult) -> dict[str, Any]:
    return {name: result.run.config[name] for name in OF_STREAM}


def _candidate(codec: str) -> Candidate:
    spec = Spec.parse(codec)
    if "quality" not in spec.options:
        raise UserError(f"{codec}: no quality; give a folder of runs with image codecs alone")
    return Candidate(spec.key, int(spec.options["quality"]), int(spec.options.get("size", 0)))


def correlation(made: list[Choice], criterion: str) -> float:
    """Spearman's rank correlation of a criterion's errors with the accuracies; -1 is best."""
    errors = [getattr(choice, criterion) for choice in made]
    return float(spearmanr(errors, [choice.accuracy for choice in made]).statistic)


def choice_page(made: list[Choice], command: str) -> str:
    """A table of all runs, and one of rank correlations and of what each criterion chooses."""
    rows = []
    for choice in made:
        cells = [f"{choice.budget:g}", f"`{choice.codec}`", f"{choice.exemplars:,}"]
        cells += [f"{100 * choice.accuracy:.1f}", f"{choice.replay:.3f}", f"{choice.alone:.3f}"]
        rows.append(cells)
    summary = []
    for budget in sorted({choice.budget for choice in made}):
        at_budget = [choice for choice in made if choice.budget == budget]
        best = max(choice.accuracy for choice in at_budget)
        cells = [f"{budget:g}", str(len(at_budget)), f"{100 * best:.1f}"]
        for criterion in ("replay", "alone"):
            chosen = min(at_budget, key=lambda choice: float(getattr(choice, criterion)))
            cells += [f"{correlation(at_budget, criterion):+.2f}"]
            cells += [f"`{chosen.codec}`, {100 * chosen.accuracy:.1f}"]
        summary.append(cells)
    columns = ["memory, MB", "codecs", "best, final %"]
    for name in ("small replay", "stored alone"):
        columns += [f"{name}: correlation", f"{name}: its choice, final %"]
    sections = [table(columns, summary), table(HEAD, rows)]
    return page("Codecs chosen without training", command, torch.device("cpu"), sections)


def main() -> None:
    """Print the tables of a folder."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.codec_choice", description=__doc__)
    )
    results = []
    for result in read_runs(options.folder):
        is_image = str(result.run.config["format"]).partition(":")[0] != "tokens"
        if result.status == "finished" and is_image:
            results.append(result)
    publish(choice_page(choices(results), typed_command("studies.codec_choice")), options.write)


if __name__ == "__main__":
    main()
