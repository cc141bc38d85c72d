"""Metrics are those that one computes by hand from accuracy.csv."""

import math

import numpy as np
import pandas as pd
import pytest

from helpers.written_runs import UNEVEN, accuracy_table
from seit_cl.results import metrics, run_writer


def test_metrics_by_hand_on_uneven_experiences():
    df = accuracy_table(UNEVEN)
    nan = math.nan
    want = [[0.9, nan, nan], [0.5, 0.7, nan], [0.6, 0.3, 0.8]]
    np.testing.assert_allclose(metrics.accuracy_matrix(df), want)
    np.testing.assert_allclose(metrics.accuracy_seen(df), [9 / 10, 26 / 40, 63 / 100])
    assert metrics.final_accuracy(df) == pytest.approx(0.63)
    assert metrics.average_incremental_accuracy(df) == pytest.approx((0.9 + 0.65 + 0.63) / 3)
    assert metrics.forgetting(df) == pytest.approx(((0.9 - 0.6) + (0.7 - 0.3)) / 2)
    assert metrics.backward_transfer(df) == pytest.approx(((0.6 - 0.9) + (0.3 - 0.7)) / 2)


def test_forgetting_takes_the_best_step_and_backward_transfer_the_first():
    df = accuracy_table(
        {
            (0, 0): (2, 10),
            (1, 0): (8, 10),
            (1, 1): (5, 10),
            (2, 0): (6, 10),
            (2, 1): (7, 10),
            (2, 2): (1, 10),
        }
    )
    assert metrics.forgetting(df) == pytest.approx((0.2 + 0.0) / 2)
    assert metrics.backward_transfer(df) == pytest.approx((0.4 + 0.2) / 2)


def test_several_classes_of_one_experience_are_weighed_by_samples():
    rows = run_writer.accuracy_rows(0, 0, {"a": 1, "b": 9}, {"a": 1, "b": 19})
    assert metrics.final_accuracy(pd.DataFrame(rows)) == pytest.approx(10 / 20)


@pytest.mark.parametrize(
    "cells", [{(0, 0): (3, 4)}, {(2, 0): (3, 4), (2, 1): (3, 4), (2, 2): (3, 4)}]
)
def test_joint_run_has_accuracy_but_no_forgetting(cells):
    df = accuracy_table(cells)
    assert metrics.final_accuracy(df) == metrics.average_incremental_accuracy(df) == 0.75
    assert math.isnan(metrics.forgetting(df))
    assert math.isnan(metrics.backward_transfer(df))


def test_steps_that_were_not_tested_are_left_out():
    df = accuracy_table({k: v for k, v in UNEVEN.items() if k[0] != 1})
    assert math.isnan(metrics.accuracy_seen(df)[1])
    assert metrics.average_incremental_accuracy(df) == pytest.approx((0.9 + 0.63) / 2)
    assert metrics.forgetting(df) == pytest.approx(0.3)  # experience 1 was tested once only
    assert metrics.backward_transfer(df) == pytest.approx(-0.3)


def test_empty_table():
    df = accuracy_table({})
    assert metrics.accuracy_matrix(df).shape == (0, 0)
    assert all(
        math.isnan(f(df))
        for f in (metrics.final_accuracy, metrics.forgetting, metrics.backward_transfer)
    )
