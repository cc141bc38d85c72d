"""Accuracy after every epoch of joint training, tokens against pixels: how much a tokenizer leaves for a learner to learn from.

Every curve is a real run of the suite, tested on the whole test set after each epoch. Rows are added to a CSV file, and
curves that it holds already are not run again.
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
from seit_cl.core.cli import run_command
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

LOOKS: dict[str, dict[str, Any]] = {
    "tokens": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "pixels": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
}
SHOWN = (1, 2, 5, 10, 15)  # epochs of the table, besides the last
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
    """Options of the curves; every combination is a curve."""

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
        tuple[float, ...], tyro.conf.arg(help="smallest areas of Token-RRC's crop")
    ] = (0.6,)
    pixel_crop: Annotated[
        tuple[float, ...], tyro.conf.arg(help="smallest areas of the pixel learner's crop")
    ] = (0.3,)
    cutmix_p: Annotated[
        tuple[float, ...], tyro.conf.arg(help="probabilities that a batch is mixed")
    ] = (0.0,)
    learning_rate: Annotated[tuple[float, ...], tyro.conf.arg(help="peak learning rates")] = (5e-4,)
    seed: Annotated[tuple[int, ...], tyro.conf.arg(help="seeds")] = (0,)
    tokenizer: Annotated[
        Path | None, tyro.conf.arg(help="tokenizer file; none: the bundled one")
    ] = None
    figure: Annotated[
        Path | None, tyro.conf.arg(help="PNG file to draw all curves of the CSV file into")
    ] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="auto, cpu or cuda")] = (
        "auto"
    )
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 0


def configs(options: Options) -> list[RunConfig]:
    """The runs of every combination."""
    found = []
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
        crop_option = MODALITIES[learner].crop_option
        found += [replace(base, **{crop_option: crop}) for crop in crops]
    return found


def curve(config: RunConfig, data: RunData, after: Container[int] | None = None) -> list[float]:
    """Accuracy (fractions) on the test set after each epoch of a joint run, or only after those epochs (from 1 on)."""
    accuracy: list[float] = []

    def watch(now: StepInfo) -> None:
        if now.step == now.steps and (after is None or now.epoch + 1 in after):
            predicted = run.learner.predict(run.modality.test_inputs())
            accuracy.append(float((predicted == run.test_labels).float().mean()))
            run.learner.model.train()

    with TemporaryDirectory() as folder:
        run = Experiment(config, data, Path(folder) / "run")
        run.run(on_step=watch)
    return accuracy


def key(config: RunConfig, data: RunData) -> dict[str, Any]:
    """What tells a curve from others."""
    modality = MODALITIES[config.learner]
    crop = getattr(config, modality.crop_option)
    identity = data.tokenizer.identity if modality.uses_tokenizer else ""
    values = (
        data.dataset.name,
        identity,
        config.learner,
        config.model,
        config.epochs,
        crop,
        config.cutmix_p,
        config.learning_rate,
        config.seed,
    )
    return dict(zip(KEY, values, strict=True))


def held(path: Path) -> pd.DataFrame:
    """The rows of a CSV file, none where it does not exist."""
    if not path.exists():
        return pd.DataFrame(columns=[*KEY, "epoch", "accuracy", "precision", "machine"])
    return pd.read_csv(path, dtype={"tokenizer": str}, keep_default_na=False)


def draw(rows: pd.DataFrame) -> Figure:
    """A panel for each data set and length: every curve of tokens, solid, and of pixels, dashed."""
    panels = list(rows.groupby(["dataset", "epochs"]))
    figure = Figure(figsize=(3.2 * len(panels), 3.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, ((dataset, epochs), panel) in zip(axes, panels, strict=True):
        for learner, group in panel.groupby("learner"):
            for number, (_, line) in enumerate(group.groupby(KEY)):
                label = None if number else f"learner on {learner}"
                ax.plot(
                    line["epoch"],
                    100 * line["accuracy"].astype(float),
                    label=label,
                    markersize=4,
                    **LOOKS[str(learner)],
                )
        ax.set(title=f"{dataset}, {epochs} epochs", xlabel="epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("test accuracy, joint training (%)")
    axes[0].set_ylim(bottom=0)  # of all: they share the axis
    axes[0].legend(fontsize=8)
    return figure


def differences(rows: pd.DataFrame) -> str:
    """Tokens against pixels at equal epochs, means over the seeds that both have, in percent and points: a Markdown table of
    some epochs, its last column the smallest difference of any epoch so far. Curves of one data set and length that differ by
    more than the seed, as in a sweep over crops, are left out: no mean may mix them."""
    lines = []
    for (dataset, epochs), panel in rows.groupby(["dataset", "epochs"]):
        if (
            panel.groupby([name for name in KEY if name != "seed"], dropna=False).ngroups
            > panel["learner"].nunique()
        ):
            continue
        by_seed = panel.pivot_table(
            index=["epoch", "seed"], columns="learner", values="accuracy"
        ).dropna()
        if by_seed.empty or not {"tokens", "pixels"} <= set(by_seed.columns):
            continue
        means = 100 * by_seed.groupby("epoch").mean()
        apart = means["tokens"] - means["pixels"]
        for epoch in [e for e in SHOWN if e < int(str(epochs))] + [int(str(epochs))]:
            shown = [f"{means.loc[epoch, name]:.1f}" for name in ("tokens", "pixels")]
            what = [f"{dataset}, {epochs} epochs", str(epoch), str(len(by_seed.loc[epoch]))]
            lines.append([*what, *shown, f"{apart[epoch]:+.1f}", f"{apart.loc[:epoch].min():+.1f}"])
    return table(
        [
            "data, length",
            "epoch",
            "seeds",
            "tokens, %",
            "pixels, %",
            "difference",
            "smallest so far",
        ],
        lines,
    )


def main() -> None:
    """Run the curves that are missing, and print how tokens and pixels compare."""
    options = tyro.cli(Options, description=__doc__)
    todo = configs(options)
    data = RunData(todo[0])
    device = choose_device(options.device)
    with torch_threads(options.threads):
        where = f"{machine_line(device)}; {torch.get_num_threads()} threads"
        for number, config in enumerate(todo, 1):
            rows, this = held(options.out), key(config, data)
            same = [
                all(str(row[name]) == str(this[name]) for name in KEY) for _, row in rows.iterrows()
            ]
            if any(same):
                continue
            accuracy = curve(config, data)
            more = [
                {
                    **this,
                    "epoch": epoch,
                    "accuracy": round(value, 5),
                    "precision": choose_precision(config),
                    "machine": where,
                }
                for epoch, value in enumerate(accuracy, 1)
            ]
            together = (
                pd.concat([held(options.out), pd.DataFrame(more)])
                if len(rows)
                else pd.DataFrame(more)
            )
            write_atomic(options.out, together.to_csv(index=False).encode())
            error = 100 * math.sqrt(accuracy[-1] * (1 - accuracy[-1]) / len(data.dataset.val))
            ends = f"{100 * accuracy[0]:.1f} % after epoch 1, {100 * accuracy[-1]:.1f} ± {error:.1f} % at the end"
            print(f"{number}/{len(todo)} {this}: {ends}", flush=True)
    if options.figure is not None:
        save_png(draw(held(options.out)), options.figure)
    print(differences(held(options.out)))


if __name__ == "__main__":
    run_command(main)
