"""FLOPs of runs and budgets of FLOPs, through the command line's own functions."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from seit_cl.command_line import parse
from seit_cl.core.errors import UserError
from seit_cl.experiment.compute import FlopsBudget, steps_within
from seit_cl.experiment.events import ExperienceInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import expand, run_folder, run_grid
from seit_cl.results.manifest import write_manifest
from seit_cl.results.names import FLOPS_COLUMNS
from seit_cl.results.run_files import read_runs
from seit_cl.results.summary import rebuild_summary

SMALL = "--resolution 32 --experiences 2 --epochs 1 --batch 8 --replay-batch 4 --memory-mb 0.01"


def run(fractals: Path, out: Path, options: str) -> dict[str, dict[str, Any]]:
    """Make the runs of a grid; returns their metadata by strategy."""
    words = [*SMALL.split(), *options.split(), "--data-root", str(fractals), "--device", "cpu"]
    run_grid(expand(parse(words)), out, Console(quiet=True))
    return {str(run.get("strategy")): run.metadata for run in read_runs(out)}


# ---------------------------------------------------------------- arithmetic of a budget
@given(
    flops=st.integers(-100, 10**6),
    full=st.integers(1, 1000),
    share=st.floats(0.01, 1),
    steps_per_epoch=st.integers(1, 9),
)
def test_the_steps_of_a_budget_fit_and_one_more_would_not(
    flops: int, full: int, share: float, steps_per_epoch: int
) -> None:
    last = max(1, round(share * full))

    def cost(steps: int) -> int:
        epochs, rest = divmod(steps, steps_per_epoch)
        return epochs * ((steps_per_epoch - 1) * full + last) + rest * full

    steps = steps_within(flops, full, last, steps_per_epoch)
    if flops >= 0:
        assert cost(steps) <= flops
        of_next = last if (steps + 1) % steps_per_epoch == 0 else full
        assert cost(steps) + of_next > flops
    else:
        assert steps == 0


def test_shares_are_in_proportion_to_fresh_samples_and_carry_the_rest_over() -> None:
    budget = FlopsBudget(1000, [30, 10], must_step=True, one_pass=False)
    assert budget.left(0, spent=0) == 750
    assert budget.left(1, spent=700) == 300
    assert budget.steps(1, 700, full=70, last=20, steps_per_epoch=2) == 6
    once = FlopsBudget(1000, [30, 10], must_step=True, one_pass=True)
    assert once.steps(1, 700, full=70, last=20, steps_per_epoch=2) == 2


def test_a_budget_below_a_step_is_answered_with_one_that_is_not() -> None:
    budget = FlopsBudget(100, [30, 10], must_step=True, one_pass=False)
    with pytest.raises(
        UserError, match=r"--flops-budget 100: experience 1 of 2 .* give 270 or more"
    ):
        budget.steps(0, 0, full=200, last=200, steps_per_epoch=4)


# ---------------------------------------------------------------- runs
def test_at_one_budget_strategies_end_within_a_step_of_it(fractals: Path, tmp_path: Path) -> None:
    strategies = "er agem mir:candidates=9 wa ewc:samples=4"
    runs = run(fractals, tmp_path, f"--flops-budget 16G --fill after --strategy {strategies}")
    assert len(runs) == 5
    for metadata in runs.values():
        spent = metadata["flops_training"] + metadata["flops_strategy"]
        assert spent <= 16e9
        assert spent > 16e9 - 2 * spent / metadata["steps"]  # a step of the second experience
        assert metadata["flops_total"] == sum(metadata[name] for name in FLOPS_COLUMNS[:-1])
    steps = {strategy.partition(":")[0]: values["steps"] for strategy, values in runs.items()}
    assert steps["mir"] < steps["wa"] < steps["er"]


def test_a_resumed_run_counts_what_one_without_a_break_does(fractals: Path, tmp_path: Path) -> None:
    options = "--strategy icarl --format jpeg:quality=40"
    whole = run(fractals, tmp_path / "whole", options)["icarl"]
    assert min(whole[name] for name in FLOPS_COLUMNS if name != "flops_encoding") > 0

    words = [*SMALL.split(), *options.split(), "--data-root", str(fractals), "--device", "cpu"]
    (config,) = expand(parse(words))
    folder = run_folder(tmp_path / "broken", config)

    def stop(info: ExperienceInfo) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Experiment(config, RunData(config), folder).run(on_experience=stop)
    Experiment(config, RunData(config), folder).run()
    resumed = json.loads((folder / "facts.json").read_text())
    for name in FLOPS_COLUMNS:
        assert resumed[name] == whole[name], name


def test_results_of_earlier_versions_have_no_flops_and_stay_readable(
    fractals: Path, tmp_path: Path
) -> None:
    run(fractals, tmp_path, "--strategy naive")
    (path,) = tmp_path.glob("*/facts.json")
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps({n: v for n, v in metadata.items() if n not in FLOPS_COLUMNS}))
    write_manifest(path.parent)
    assert [run.status for run in read_runs(tmp_path)] == ["finished"]
    assert rebuild_summary(tmp_path)["flops_total"].isna().all()


def test_a_plugin_that_makes_its_own_batches_has_no_budget(fractals: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--flops-budget: --strategy avalanche:ReplayPlugin"):
        run(fractals, tmp_path, "--strategy avalanche:ReplayPlugin --flops-budget 1T")
