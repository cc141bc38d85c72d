"""Both sides of the reference have equal first weights, steps and exemplars; nothing runs twice.

Where Avalanche's code computes the same as ours, both predict the same.
"""

import json
import random
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from helpers.colour_stream import write_colours
from seit_cl.core.errors import UserError
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.loaders import ReplayLoader
from studies.reference import avalanche, study
from studies.reference.page import answer

HELD = 6


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> study.Options:
    """Two experiences of two classes, eight images each; 32 px make 4 x 4 tokens."""
    folder = tmp_path_factory.mktemp("reference")
    return study.Options(
        write_colours(folder / "colours"),
        folder / "out",
        epochs=(2,),
        seeds=1,
        experiences=2,
        per_class=8,
        exemplars=HELD,
        batch=5,
        learning_rate=2e-3,
    )


@pytest.fixture(scope="module")
def data(options: study.Options) -> RunData:
    return RunData(study.run_config(options, study.Case("er", "ours", "adamw", "fixed", 1, 0)))


def both(
    options: study.Options, data: RunData, name: str, side: str, head: str = "fixed"
) -> list[dict[str, Any]]:
    """Ours and a form of Avalanche's, with the same seed."""
    kind = "sgd" if name == "naive" else "adamw"
    return [
        study.run_case(options, study.Case(name, who, kind, head, 2, 0), data)
        for who in ("ours", side)
    ]


def test_both_sides_take_the_same_steps_from_the_same_weights_with_as_many_exemplars(
    options: study.Options, data: RunData
) -> None:
    ours, theirs = both(options, data, "er", "avalanche")
    assert ours["first_weights"] == theirs["first_weights"]
    assert (
        ours["steps"] == theirs["steps"] == 2 * 2 * 4
    )  # experiences, epochs, steps of 5, 5, 5 and 1
    assert ours["held"] == theirs["held"] == HELD
    assert ours["total"] == theirs["total"] == [20, 20] and len(theirs["predicted"]) == 40


@pytest.mark.parametrize(
    ("name", "side", "head"),
    [
        ("naive", "avalanche", "grow"),
        pytest.param("lwf", "avalanche", "fixed", marks=pytest.mark.slow),
        pytest.param("ewc", "lined-up", "grow", marks=pytest.mark.slow),
    ],
)
def test_what_is_computed_alike_predicts_alike(
    name: str, side: str, head: str, options: study.Options, data: RunData
) -> None:
    ours, theirs = both(options, data, name, side, head)
    assert ours["predicted"] == theirs["predicted"] and ours["correct"] == theirs["correct"]
    assert ours["held"] == theirs["held"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["er_ace", "derpp", "icarl", "gdumb", "agem"])
def test_lined_up_the_others_take_the_same_steps_with_as_many_exemplars(
    name: str, options: study.Options, data: RunData
) -> None:
    ours, theirs = both(options, data, name, "lined-up")
    assert ours["steps"] == theirs["steps"]
    assert theirs["held"] == ours["held"] + 2 * (
        name == "icarl"
    )  # it rounds a class's share of 6 / 4 up
    assert ours["first_weights"] == theirs["first_weights"]


def test_the_streams_order_is_the_same_on_both_sides(
    options: study.Options, data: RunData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Any]] = {"ours": [], "avalanche": []}
    plain = ReplayLoader.__iter__

    def watched(self: ReplayLoader) -> Any:
        for step in plain(self):
            if len(self) > 1:  # a single step of zeros is one whose FLOPs are counted
                seen["ours"].append(step.fresh.labels.tolist())
            yield step

    theirs = avalanche.OurBatches.__iter__

    def watched_theirs(self: Any) -> Any:
        for batch in theirs(self):
            seen["avalanche"].append(batch[1].tolist())
            yield batch

    monkeypatch.setattr(ReplayLoader, "__iter__", watched)
    monkeypatch.setattr(avalanche.OurBatches, "__iter__", watched_theirs)
    both(options, data, "naive", "avalanche")
    assert len(seen["ours"]) == 16 and seen["ours"] == seen["avalanche"]


def test_runs_leave_the_global_generators_alone(options: study.Options, data: RunData) -> None:
    before = torch.get_rng_state(), random.getstate()
    study.run_case(options, study.Case("agem", "avalanche", "adamw", "fixed", 1, 0), data)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()


def test_results_are_kept_and_the_page_has_a_row_for_each_pair(
    options: study.Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = [
        "reference",
        "--strategy",
        "naive",
        "--seeds",
        "1",
        "--epochs",
        "2",
        "--experiences",
        "2",
        "--per-class",
        "8",
    ]
    typed += [
        "--exemplars",
        str(HELD),
        "--batch",
        "5",
        "--data-root",
        str(options.data_root),
        "--out",
        str(options.out),
    ]
    monkeypatch.setattr(sys, "argv", typed)
    study.main()
    said = capsys.readouterr().out
    assert (
        "2/2 naive_avalanche_adamw_fixed_2-epochs_seed0" in said
        and "| naive | as it is | 1 |" in said
    )
    files = {path: path.stat().st_mtime_ns for path in options.out.glob("*.json")}
    study.main()
    assert "2/2" not in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in options.out.glob("*.json")} == files and len(
        files
    ) == 2
    assert {json.loads(path.read_text())["side"] for path in files} == {"ours", "avalanche"}
    assert "| naive | as it is | 1 |" in answer(options.out, "typed")
    with pytest.raises(UserError, match="per_class 8"):
        study.run_missing(replace(options, per_class=7), study.Console())


def test_a_strategy_without_a_reference_is_named(options: study.Options) -> None:
    with pytest.raises(UserError, match="lucir"):
        list(study.cases(replace(options, strategy=("er", "lucir"))))
