"""Schedules of the learning rate."""

import pytest

from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.learner.schedules import build_schedule, is_constant

SPECS = {"step": "step:epochs=2+3"}  # of schedules with an option that must be given


def shares(spec: str, steps: int = 40, epochs: int = 4, warmup: float = 0.1) -> list[float]:
    """The share of the peak in every step of an experience."""
    share_of_peak = build_schedule(spec, steps, epochs, warmup)
    return [share_of_peak(step) for step in range(steps)]


@pytest.mark.parametrize("name", sorted(plugins.names("schedule")))
def test_every_schedule_warms_up_linearly_and_stays_between_zero_and_the_peak(name: str) -> None:
    assert plugins.load("schedule", name).source
    spec = SPECS.get(name, name)
    values = shares(spec)
    assert values[:4] == [0.25, 0.5, 0.75, 1.0]
    assert all(0.0 < value <= 1.0 for value in values)
    without = shares(spec, warmup=0.0)
    assert without[0] == 1.0


def test_the_default_falls_along_half_a_cosine() -> None:
    values = shares("cosine", warmup=0.0)
    assert values[0] == values[1] == 1.0
    assert values[1:] == sorted(values[1:], reverse=True)
    assert values[1 + 39 // 2] == pytest.approx(0.5, abs=0.05)
    assert 0.0 < values[-1] < 0.01


def test_a_constant_schedule_stays_at_the_peak() -> None:
    assert set(shares("constant", warmup=0.0)) == {1.0}
    assert is_constant("constant") and not is_constant("cosine")


def test_steps_lower_the_rate_at_the_first_step_after_an_epoch() -> None:
    values = shares("step:epochs=2+3,factor=0.5", warmup=0.0)
    assert values == [1.0] * 20 + [0.5] * 10 + [0.25] * 10


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("steps:epochs=2", "unknown schedule 'steps'; .*step"),
        ("step", "after which epochs"),
        ("step:epochs=2+4", "must be epochs within --epochs 4"),
        ("cosine:factor=2", "unknown option 'factor'"),
    ],
)
def test_what_does_not_fit_the_experience_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        shares(spec)
