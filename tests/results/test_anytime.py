"""Metrics of tests between training steps, on accuracies whose values are known."""

import math

import pandas as pd
import pytest

from seit_cl.results.anytime import (
    ANYTIME_COLUMNS,
    average_anytime_accuracy,
    minimum_accuracy,
    stability_gap,
    worst_case_accuracy,
)

# Correct answers of 10 by step: experience in training, then those of each experience seen.
TESTS = {
    1: (0, [4]),
    2: (0, [8]),
    3: (1, [2, 5]),  # a drop from which experience 0 recovers
    4: (1, [6, 9]),
    5: (2, [5, 3, 1]),
    6: (2, [4, 4, 9]),
}


def rows() -> pd.DataFrame:
    table = []
    for step, (trained, correct) in TESTS.items():
        for experience, count in enumerate(correct):
            table.append((step, trained, experience, f"class{experience}", count, 10))
    return pd.DataFrame(table, columns=list(ANYTIME_COLUMNS))


def test_average_anytime_accuracy_is_the_mean_over_tests() -> None:
    by_step = [0.4, 0.8, 0.35, 0.75, 0.3, 17 / 30]
    assert average_anytime_accuracy(rows()) == pytest.approx(sum(by_step) / 6)


def test_minimum_accuracy_counts_the_steps_after_an_experience() -> None:
    assert minimum_accuracy(rows()) == pytest.approx((0.2 + 0.3) / 2)


def test_worst_case_accuracy_weighs_the_newest_experience_and_the_minima() -> None:
    assert worst_case_accuracy(rows()) == pytest.approx(0.9 / 3 + 2 / 3 * 0.25)


def test_the_stability_gap_is_the_drop_that_is_made_good_again() -> None:
    # Experience 1: 0.8 before, 0.2, then 0.6. Experience 2: 0.75 before, 0.4, then 0.4.
    assert stability_gap(rows()) == pytest.approx((0.4 + 0.0) / 2)


def test_a_stream_of_one_experience_has_an_average_alone() -> None:
    only = rows()[rows()["in_experience"] == 0]
    assert average_anytime_accuracy(only) == pytest.approx(0.6)
    for metric in (minimum_accuracy, worst_case_accuracy, stability_gap):
        assert math.isnan(metric(only))
