"""Errors that foretell the accuracy of a codec, beside the runs that were made."""

from dataclasses import replace
from pathlib import Path

import pytest

from seit_cl import RunConfig, run_experiment
from seit_cl.core.errors import UserError
from seit_cl.data.fractals import write_fractals
from studies.codec_choice import Choice, choice_page, choices, correlation

CODECS = ("jpeg:quality=5,size=16", "jpeg:quality=75")


def test_runs_are_listed_by_budget_with_both_errors(tmp_path: Path) -> None:
    root = write_fractals(tmp_path / "data", 4, 10, 2, 32)
    config = RunConfig(data_root=root, experiences=2, epochs=1, memory_mb=0.02)
    results = []
    for codec in CODECS:
        results.append(run_experiment(replace(config, format=codec), tmp_path / "out"))
    made = choices(results)
    assert {choice.codec for choice in made} == set(CODECS)
    assert [choice.accuracy for choice in made] == sorted(
        (result.final_accuracy for result in results), reverse=True
    )
    errors = {choice.codec: choice.replay for choice in made}
    assert errors[CODECS[0]] != errors[CODECS[1]]
    page = choice_page(made, "command")
    assert all(f"| `{codec}` |" in page for codec in CODECS)


def test_a_criterion_that_orders_codecs_as_training_does_has_correlation_minus_one() -> None:
    made = [Choice(0.1, str(n), n, accuracy=n / 10, replay=1 / n, alone=n) for n in (1, 2, 3)]
    assert correlation(made, "replay") == pytest.approx(-1)
    assert correlation(made, "alone") == pytest.approx(1)


def test_no_runs_are_refused() -> None:
    with pytest.raises(UserError, match="none"):
        choices([])
