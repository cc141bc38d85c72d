"""Planned runs are paired by seed, made once, and listed without being made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seit_cl.core.errors import UserError
from seit_cl.data.fractals import write_fractals
from studies import plan


@pytest.fixture
def options(tmp_path: Path) -> plan.PlanOptions:
    """Options on a folder of five classes."""
    root = write_fractals(tmp_path / "data", 5, 4, 2, 64)
    return plan.PlanOptions(data_root=root, out=tmp_path / "out", seed=(0, 1))


def cases_of(options: plan.PlanOptions) -> list[plan.Case]:
    """A run of one epoch for every seed."""
    of_root = replace(plan.SHARED, data_root=options.data_root, memory_mb=0.01, epochs=1)
    return [plan.Case("er/0.01MB", plan.of_seed(of_root, seed)) for seed in options.seed]


def test_every_seed_has_a_class_order_of_its_own(options: plan.PlanOptions) -> None:
    configs = [case.config for case in cases_of(options)]
    assert [config.seed for config in configs] == [0, 1]
    assert [config.class_order_seed for config in configs] == [1993, 1994]


def test_a_dry_run_lists_the_runs_and_makes_none(
    options: plan.PlanOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.run_all(cases_of(options), replace(options, dry_run=True))
    assert capsys.readouterr().out == "1 of 2: er/0.01MB, seed 0\n2 of 2: er/0.01MB, seed 1\n"
    assert not options.out.exists()


def test_finished_runs_are_not_made_again(
    options: plan.PlanOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = cases_of(options)
    plan.run_all(planned, options)
    first = capsys.readouterr().out
    written = {path: path.stat().st_mtime_ns for path in options.out.rglob("facts.json")}
    assert len(written) == 2
    plan.run_all(planned, options)
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.slow
def test_runs_beside_one_another_end_as_those_one_by_one(
    options: plan.PlanOptions, tmp_path: Path
) -> None:
    planned = cases_of(options)
    together = replace(options, out=tmp_path / "together", jobs=2)
    plan.run_all(planned, options)
    plan.run_all(planned, together)
    accuracies = [path.read_text() for path in sorted(options.out.rglob("accuracy.csv"))]
    assert [path.read_text() for path in sorted(together.out.rglob("accuracy.csv"))] == accuracies


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    plan.require_known("arm", ["all"], {"all": 1})
    with pytest.raises(UserError, match="--arm al: no such arm; did you mean 'all'"):
        plan.require_known("arm", ["al"], {"all": 1})
