"""Lines of means over replicates, with bands of one standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes


def draw_mean(ax: Axes, curves: pd.DataFrame, label: str, style: Mapping[str, Any]) -> None:
    """Draw the mean of curves with a band of one standard deviation.

    Args:
        ax: where it is drawn.
        curves: a column per run, over the values of the horizontal axis.
        label: of the line.
        style: of matplotlib's line, among it "color".
    """
    mean = curves.mean(axis=1)
    spread = curves.std(axis=1).fillna(0)
    low = mean - spread
    high = mean + spread
    ax.plot(curves.index, mean, label=label, **style)
    ax.fill_between(curves.index, low, high, color=style["color"], alpha=0.15, linewidth=0)
