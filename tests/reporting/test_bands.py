"""A line of means has a band of one standard deviation."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from seit_cl.reporting.bands import draw_mean


def test_the_band_reaches_one_standard_deviation_to_either_side() -> None:
    figure, ax = plt.subplots()
    curves = pd.DataFrame({0: [1.0, 2.0], 1: [3.0, 2.0]}, index=[5, 10])
    draw_mean(ax, curves, "runs", {"color": "#0072b2"})
    (line,) = ax.lines
    assert np.asarray(line.get_xydata()).tolist() == [[5.0, 2.0], [10.0, 2.0]]
    corners = ax.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(2 - 2**0.5)
    assert corners[:, 1].max() == pytest.approx(2 + 2**0.5)
    plt.close(figure)
