"""Draw README's figure from the published runs: python -m studies.factors.figure --out FILE.png."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import pandas as pd
import tyro

from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.core.files import write_atomic
from seit_cl.results.intervals import mean_interval

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "results" / "factors-summary.csv"
BUDGETS = (0.02, 0.1, 0.5)  # MB
DOTS_PER_INCH = 144
# Group of runs -> line in its panel: name, colour, marker, dashes.
Line = tuple[str, str, str, str]
SAME_LEARNER: Line = ("images, the same learner", "#7f3b08", "^", "--")
WITHOUT_LABELS: dict[str, Line] = {
    "tokens": ("tokens", "#0072b2", "o", "-"),
    "images-tokens": SAME_LEARNER,
    "pixels": ("images, ViT on pixels", "#d55e00", "s", ":"),
}
WITH_LABELS: dict[str, Line] = {
    "tokens-labels": ("tokens", "#0072b2", "o", "-"),
    "images-tokens-labels": SAME_LEARNER,
    "pixels-vit": ("images, ViT on pixels, pre-trained", "#d55e00", "s", ":"),
}
PANELS = {
    "no label of other classes is used": WITHOUT_LABELS,
    "labels of 50 other classes: in the tokenizer, or in the ViT": WITH_LABELS,
}


@dataclass(frozen=True)
class Options:
    """Options of the figure."""

    out: Annotated[Path, hint("file to write, .png")]
    runs: Annotated[Path, hint("summary of the study's runs, as studies.archive packs it")] = (
        PUBLISHED
    )


def accuracies(runs: pd.DataFrame, arm: str, budget: float) -> pd.Series:
    """Return the final accuracies of an arm's runs of 20 epochs at a budget, in percent.

    Args:
        runs: a row per run.
        arm: of the study.
        budget: in MB.
    """
    group = runs.run_id.str.split("/").str[0]
    return 100 * runs.final_accuracy[group == f"{arm}.epochs-20.{budget:g}MB"]


def draw_panel(axes: Any, runs: pd.DataFrame, title: str, lines: dict[str, Line]) -> None:
    """Draw accuracy against budget, a line for each arm.

    Args:
        axes: of matplotlib.
        runs: a row per run.
        title: of the panel.
        lines: arms and how they are drawn.
    """
    for arm, (name, colour, marker, dashes) in lines.items():
        values = [accuracies(runs, arm, budget) for budget in BUDGETS]
        means = [group.mean() for group in values]
        bars = [mean_interval(group.tolist())[1] for group in values]
        axes.errorbar(
            BUDGETS, means, bars, label=name, color=colour, marker=marker, ls=dashes, capsize=3
        )
    axes.set_title(title, fontsize=10)
    axes.set_xscale("log")
    axes.set_xticks(BUDGETS, [f"{budget:g}" for budget in BUDGETS])
    axes.minorticks_off()
    axes.set_xlabel("replay memory (MB, log scale)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8.5, framealpha=1)


def draw(runs: pd.DataFrame) -> bytes:
    """Draw both panels.

    Args:
        runs: a row per run.

    Returns:
        The figure as a PNG file.
    """
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 4), sharey=True, layout="constrained")
    for axes, (title, lines) in zip(panels, PANELS.items(), strict=True):
        draw_panel(axes, runs, title, lines)
    panels[0].set_ylim(0, 52)
    panels[0].set_ylabel("final accuracy (%)")
    figure.suptitle(
        "20 Tiny-ImageNet classes in 5 experiences; five runs each, 95 % intervals", fontsize=11
    )
    file = io.BytesIO()
    figure.savefig(file, dpi=DOTS_PER_INCH)
    plt.close(figure)
    return file.getvalue()


def main() -> None:
    """Run the command."""
    options = parse_line(lambda: tyro.cli(Options, description=__doc__))
    write_atomic(options.out, draw(pd.read_csv(options.runs)))


if __name__ == "__main__":
    run_command(main)
