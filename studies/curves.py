"""Compare joint training on tokens and on pixels by the accuracy after every epoch.

The curves show how much a tokenizer leaves for a learner. Every curve is a run of the suite that
is tested on the whole test set after each epoch. Rows are added to a CSV file; curves that it
already holds are not run again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import pandas as pd
import torch
import tyro
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seit_cl.config import RunConfig
from seit_cl.core.cli import parse_line, run_command
from seit_cl.core.devices import choose_device
from seit_cl.core.files import write_atomic
from seit_cl.core.machine import machine_line, torch_threads
from seit_cl.experiment.build import choose_precision
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.modality import MODALITIES
from seit_cl.experiment.run_data import RunData
from seit_cl.reporting.markdown import table
from seit_cl.tokenizers._picture import save_png

STYLES: dict[str, dict[str, Any]] = {
    "tokens": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "pixels": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
}
TABLE_EPOCHS = (1, 2, 5, 10, 15)  # besides the last one
KEY = [
    "dataset",
    "tokenizer",
    "learner",
    "model",
    "epochs",
    "crop",
    "cutmix_p",
    "learning_rate",
    "seed",
]


@dataclass(frozen=True)
class Options:
    """Options of the curves: every combination of values is one curve."""

    data_root: Annotated[Path, tyro.conf.arg(help="image folder, train/ and val/")]
    out: Annotated[Path, tyro.conf.arg(help="CSV file to add rows to")]
    learner: Annotated[
        tuple[Literal["tokens", "pixels"], ...], tyro.conf.arg(help="tokens, pixels")
    ] = ("tokens", "pixels")
    model: Annotated[
        Literal["micro", "tiny", "small", "base"], tyro.conf.arg(help="size of the ViT")
    ] = "micro"
    epochs: Annotated[tuple[int, ...], tyro.conf.arg(help="lengths of training")] = (5, 20)
    token_crop: Annotated[
        tuple[float, ...], tyro.conf.arg(help="smallest crop areas of the token learner")
    ] = (0.6,)
    pixel_crop: Annotated[
        tuple[float, ...], tyro.conf.arg(help="smallest crop areas of the pixel learner")
    ] = (0.3,)
    cutmix_p: Annotated[
        tuple[float, ...], tyro.conf.arg(help="probabilities that a batch is mixed")
    ] = (0.0,)
    learning_rate: Annotated[tuple[float, ...], tyro.conf.arg(help="peak learning rates")] = (5e-4,)
    seed: Annotated[tuple[int, ...], tyro.conf.arg(help="seeds")] = (0,)
    tokenizer: Annotated[
        str | None, tyro.conf.arg(help="tokenizer file; none: the bundled one")
    ] = None
    figure: Annotated[
        Path | None, tyro.conf.arg(help="PNG file to draw all curves of the CSV file into")
    ] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="auto, cpu or cuda")] = (
        "auto"
    )
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 0


def configs(options: Options) -> list[RunConfig]:
    """Configurations of the runs, one for every combination of values."""
    runs = []
    for learner, epochs, cutmix_p, rate, seed in itertools.product(
        options.learner, options.epochs, options.cutmix_p, options.learning_rate, options.seed
    ):
        base = RunConfig(
            data_root=options.data_root,
            tokenizer=options.tokenizer,
            strategy="joint",
            experiences=1,
            memory_mb=0,
            learner=learner,
            model=options.model,
            epochs=epochs,
            cutmix_p=cutmix_p,
            learning_rate=rate,
            seed=seed,
            device=options.device,
        )
        crops = options.token_crop if learner == "tokens" else options.pixel_crop
        for crop in crops:
            changed: dict[str, Any] = {MODALITIES[learner].crop_option: crop}
            runs.append(replace(base, **changed))
    return runs


def curve(config: RunConfig, data: RunData, after: Container[int] | None = None) -> list[float]:
    """Test accuracies (fractions) after the epochs of a joint run.

    Args:
        config: of the run.
        data: of the run.
        after: numbers of the epochs, from 1, after which to test; None tests after all.
    """
    accuracies: list[float] = []

    def test_after_epoch(info: StepInfo) -> None:
        epoch_ended = info.step == info.steps
        if epoch_ended and (after is None or info.epoch + 1 in after):
            predicted = run.learner.predict(run.tests.inputs(torch.arange(len(run.tests.labels))))
            accuracies.append(float((predicted == run.tests.labels).float().mean()))
            run.learner.model.train()

    with TemporaryDirectory() as folder:
        run = Experiment(config, data, Path(folder) / "run")
        run.run(on_step=test_after_epoch)
    return accuracies


def key(config: RunConfig, data: RunData) -> dict[str, Any]:
    """Columns that distinguish a curve from others."""
    modality = MODALITIES[config.learner]
    return {
        "dataset": data.dataset.name,
        "tokenizer": data.tokenizer.identity if modality.uses_tokenizer else "",
        "learner": config.learner,
        "model": config.model,
        "epochs": config.epochs,
        "crop": getattr(config, modality.crop_option),
        "cutmix_p": config.cutmix_p,
        "learning_rate": config.learning_rate,
        "seed": config.seed,
    }


def read_rows(path: Path) -> pd.DataFrame:
    """Rows of a CSV file; none if it does not exist."""
    if not path.exists():
        return pd.DataFrame(columns=[*KEY, "epoch", "accuracy", "precision", "machine"])
    return pd.read_csv(path, dtype={"tokenizer": str}, keep_default_na=False)


def draw(rows: pd.DataFrame) -> Figure:
    """Draw the curves of tokens (solid) and pixels (dashed), a panel per dataset and length."""
    panels = list(rows.groupby(["dataset", "epochs"]))
    figure = Figure(figsize=(3.2 * len(panels), 3.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, ((dataset, epochs), panel) in zip(axes, panels, strict=True):
        for learner, group in panel.groupby("learner"):
            for number, (_, line) in enumerate(group.groupby(KEY)):
                label = None if number else f"learner on {learner}"
                percent = 100 * line["accuracy"].astype(float)
                style = STYLES[str(learner)]
                ax.plot(line["epoch"], percent, label=label, markersize=4, **style)
        ax.set(title=f"{dataset}, {epochs} epochs", xlabel="epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("test accuracy, joint training (%)")
    axes[0].set_ylim(bottom=0)  # of all panels, which share the axis
    axes[0].legend(fontsize=8)
    return figure


def differences(rows: pd.DataFrame) -> str:
    """Compare tokens and pixels at equal epochs, in a Markdown table.

    Accuracies are means in percent over the seeds that both have; differences are in points, and
    the last column has the smallest difference of any epoch so far. A dataset and length whose
    curves differ in more than the seed, as in a sweep over crops, is left out, as a mean must not
    mix them.
    """
    lines = []
    for (dataset, epochs), panel in rows.groupby(["dataset", "epochs"]):
        settings = panel.groupby([name for name in KEY if name != "seed"], dropna=False)
        if settings.ngroups > panel["learner"].nunique():
            continue
        by_seed = panel.pivot_table(index=["epoch", "seed"], columns="learner", values="accuracy")
        by_seed = by_seed.dropna()
        if by_seed.empty or not {"tokens", "pixels"} <= set(by_seed.columns):
            continue
        means = 100 * by_seed.groupby("epoch").mean()
        difference = means["tokens"] - means["pixels"]
        last = int(str(epochs))
        for epoch in [*(early for early in TABLE_EPOCHS if early < last), last]:
            lines.append(
                [
                    f"{dataset}, {epochs} epochs",
                    str(epoch),
                    str(len(by_seed.loc[epoch])),
                    f"{means['tokens'][epoch]:.1f}",
                    f"{means['pixels'][epoch]:.1f}",
                    f"{difference[epoch]:+.1f}",
                    f"{difference.loc[:epoch].min():+.1f}",
                ]
            )
    heads = ["data, length", "epoch", "seeds", "tokens, %", "pixels, %"]
    return table([*heads, "difference", "smallest so far"], lines)


def holds(rows: pd.DataFrame, curve_key: dict[str, Any]) -> bool:
    """True if rows hold the curve of a key."""
    same = pd.Series(True, index=rows.index)
    for name in KEY:
        same &= rows[name].map(str) == str(curve_key[name])
    return bool(same.any())


def add_curve(config: RunConfig, data: RunData, out: Path, machine: str) -> list[float]:
    """Run a curve and add its rows to a CSV file.

    Args:
        config: of the run.
        data: of the run.
        out: CSV file.
        machine: description of the machine.

    Returns:
        Accuracies (fractions) after each epoch.
    """
    accuracies = curve(config, data)
    added = []
    for epoch, accuracy in enumerate(accuracies, 1):
        added.append(
            {
                **key(config, data),
                "epoch": epoch,
                "accuracy": round(accuracy, 5),
                "precision": choose_precision(config),
                "machine": machine,
            }
        )
    rows = read_rows(out)
    new_rows = pd.DataFrame(added)
    if len(rows):
        new_rows = pd.concat([rows, new_rows])
    write_atomic(out, new_rows.to_csv(index=False).encode())
    return accuracies


def main() -> None:
    """Run the missing curves, and compare tokens with pixels."""
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.curves", description=__doc__)
    )
    runs = configs(options)
    data = RunData(runs[0])
    device = choose_device(options.device)
    with torch_threads(options.threads):
        machine = f"{machine_line(device)}; {torch.get_num_threads()} threads"
        for number, config in enumerate(runs, 1):
            curve_key = key(config, data)
            if holds(read_rows(options.out), curve_key):
                continue
            accuracies = add_curve(config, data, options.out, machine)
            first = accuracies[0]
            final = accuracies[-1]
            error = math.sqrt(final * (1 - final) / len(data.dataset.val))
            print(
                f"{number}/{len(runs)} {curve_key}: {100 * first:.1f} % after epoch 1, "
                f"{100 * final:.1f} ± {100 * error:.1f} % at the end",
                flush=True,
            )
    rows = read_rows(options.out)
    if options.figure is not None:
        save_png(draw(rows), options.figure)
    print(differences(rows))


if __name__ == "__main__":
    run_command(main)
