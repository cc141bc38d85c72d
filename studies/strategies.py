"""Tables and figure of the tuned strategies, from the published runs.

python -m studies.strategies                    print the tables of docs/strategies.md
python -m studies.strategies --out FILE.png     draw its figure, too
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tyro

from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.core.files import write_atomic
from seit_cl.reporting.markdown import table
from seit_cl.results.intervals import mean_interval
from studies import results

PUBLISHED = Path(__file__).resolve().parents[1] / "docs" / "results" / "strategies-summary.csv"
FEWEST = 3  # runs of an interval
DOTS_PER_INCH = 144
FINAL, AVERAGE = "final_accuracy", "average_incremental_accuracy"
TOKENS, IMAGES, NO_MEMORY = "tokens", "WebP 5", "without a memory"
COLOURS = {TOKENS: "#0072b2", IMAGES: "#d55e00", NO_MEMORY: "#555555"}
MARKERS = {TOKENS: "o", IMAGES: "s", NO_MEMORY: "D"}


@dataclass(frozen=True)
class Options:
    """Options of the tables."""

    out: Annotated[Path | None, hint("file of the figure, .png; none: only print")] = None
    runs: Annotated[Path, hint("summary of the runs, as studies.archive packs it")] = PUBLISHED


def read_published(path: Path) -> pd.DataFrame:
    """Read the runs, with the columns `name` of the strategy and `kind` of its exemplars.

    Args:
        path: a table with a row per run; accuracies are fractions.
    """
    runs = pd.read_csv(path)
    runs["name"] = runs.strategy.str.partition(":")[0]
    stored = runs.format.where(runs.memory_bytes > 0, "")
    kinds = [stored.str.startswith("tokens"), stored.str.startswith("webp")]
    runs["kind"] = np.select(kinds, [TOKENS, IMAGES], NO_MEMORY)
    return runs


def values(runs: pd.DataFrame, name: str, kind: str, fill: str, metric: str) -> pd.Series:
    """Return a metric of a strategy's runs in percent, by seed.

    Args:
        runs: of `read_published`.
        name: of the strategy.
        kind: of its exemplars.
        fill: when the memory was filled; "": as the strategy's paper says.
        metric: a column.
    """
    rows = runs[(runs.name == name) & (runs.kind == kind)]
    own = rows.run_id.str.contains("fill-")
    rows = rows[own if fill else ~own]
    return 100 * rows.set_index("seed")[metric].sort_index()


def interval(numbers: Sequence[float] | pd.Series, sign: str = "") -> str:
    """Return a mean with its 95 % interval over runs (Student's t), or alone below three runs.

    Args:
        numbers: of the runs.
        sign: "+" to write the sign of a positive mean.
    """
    return results.interval(list(numbers), sign, FEWEST)


def ranked(runs: pd.DataFrame, kind: str) -> list[str]:
    """Return the strategies that have runs of a kind, the highest final accuracy first."""
    names = runs.name[runs.kind == kind].unique()
    return sorted(names, key=lambda name: -values(runs, name, kind, "", FINAL).mean())


def difference(first: pd.Series, second: pd.Series) -> str:
    """Return the mean difference of runs of equal seed, and so equal class order."""
    pairs = (first - second).dropna()
    return interval(pairs, "+") if len(pairs) else ""


def replay_table(runs: pd.DataFrame) -> str:
    """Return the table of the strategies with a memory, in Markdown."""
    rows = []
    for name in ranked(runs, TOKENS):
        tokens = values(runs, name, TOKENS, "", FINAL)
        images = values(runs, name, IMAGES, "", FINAL)
        average = values(runs, name, TOKENS, "", AVERAGE)
        rows.append(
            [
                f"`{name}`",
                interval(tokens),
                interval(images) if len(images) else "",
                difference(tokens, images),
                interval(average),
                difference(tokens, values(runs, "er", TOKENS, "", FINAL)) if name != "er" else "",
                *_costs(runs, name, TOKENS),
            ]
        )
    header = ["strategy", "tokens", "WebP 5", "tokens end higher by", "tokens, average"]
    header += ["above `er`, tokens", "forgetting, points", "`strategy_bytes`, MB", "steps"]
    return table(header, rows)


def bounds_table(runs: pd.DataFrame) -> str:
    """Return the table of the strategies without a memory, in Markdown."""
    rows = []
    for name in ranked(runs, NO_MEMORY):
        final = values(runs, name, NO_MEMORY, "", FINAL)
        rows.append([f"`{name}`", interval(final), *_costs(runs, name, NO_MEMORY)])
    header = ["without a memory", "final %", "forgetting, points", "`strategy_bytes`, MB", "steps"]
    return table(header, rows)


def fill_table(runs: pd.DataFrame) -> str:
    """Return the table of memories that are filled after and during an experience."""
    rows = []
    for name in ranked(runs, TOKENS):
        after, during = (values(runs, name, TOKENS, fill, FINAL) for fill in ("after", ""))
        if after.empty:
            continue
        averages = [values(runs, name, TOKENS, fill, AVERAGE) for fill in ("after", "")]
        both = [interval(after), interval(during), difference(during, after)]
        rows.append([f"`{name}`", *both, *map(interval, averages)])
    header = ["strategy", "`--fill after`", "`--fill during`", "during ends higher by"]
    return table([*header, "average, after", "average, during"], rows)


def _costs(runs: pd.DataFrame, name: str, kind: str) -> list[str]:
    """Forgetting, bytes beside the memory, and steps of a strategy."""
    rows = runs[(runs.name == name) & (runs.kind == kind)]
    forgetting = values(runs, name, kind, "", "forgetting").mean()
    forgotten = "" if np.isnan(forgetting) else f"{forgetting:.0f}"
    size = rows.strategy_bytes.iloc[0] / 1e6
    return [forgotten, f"{size:.2f}" if size else "0", f"{rows.steps.iloc[0]:,}"]


def draw(runs: pd.DataFrame) -> bytes:
    """Draw final accuracies, a row for each strategy.

    Args:
        runs: of `read_published`.

    Returns:
        The figure as a PNG file.
    """
    names = sorted(set(runs.name), key=lambda name: _height(runs, name))
    figure, axes = plt.subplots(figsize=(7.5, 5), layout="constrained")
    for kind, offset in ((TOKENS, 0.12), (IMAGES, -0.12), (NO_MEMORY, 0.0)):
        shown = [name for name in names if not values(runs, name, kind, "", FINAL).empty]
        groups = [values(runs, name, kind, "", FINAL) for name in shown]
        axes.errorbar(
            [group.mean() for group in groups],
            [names.index(name) + offset for name in shown],
            xerr=[mean_interval(group.tolist())[1] for group in groups],
            fmt=MARKERS[kind],
            color=COLOURS[kind],
            capsize=3,
            label=kind,
        )
    _label(axes, names)
    file = io.BytesIO()
    figure.savefig(file, dpi=DOTS_PER_INCH)
    plt.close(figure)
    return file.getvalue()


def _label(axes: Any, names: Sequence[str]) -> None:
    """Write the figure's words."""
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("final accuracy (%)")
    axes.set_xlim(left=0)
    axes.set_title(
        "Tuned strategies at 0.02 MB: five runs each, 95 % intervals\n"
        "20 Tiny-ImageNet classes in 5 experiences",
        fontsize=11,
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _height(runs: pd.DataFrame, name: str) -> float:
    """The final accuracy by which a strategy is ranked: of tokens, or without a memory."""
    return float(max(values(runs, name, kind, "", FINAL).mean() for kind in _kinds_of(runs, name)))


def _kinds_of(runs: pd.DataFrame, name: str) -> list[str]:
    """The kinds of exemplars that a strategy has runs with."""
    return list(runs.kind[runs.name == name].unique())


def main() -> None:
    """Run the command."""
    options = parse_line(lambda: tyro.cli(Options, description=__doc__))
    runs = read_published(options.runs)
    print("\n\n".join([replay_table(runs), bounds_table(runs), fill_table(runs)]))
    if options.out is not None:
        write_atomic(options.out, draw(runs))


if __name__ == "__main__":
    run_command(main)
