"""Tests between training steps: they change no number, are resumable, and see one subset."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.colour_stream import OPTIONS, Outcome, colours, run
from seit_cl.config import RunConfig
from seit_cl.experiment.anytime import AnytimeSubset
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData

TESTED = {"eval_steps": 1, "eval_images": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


def equal_apart_from_tests(first: Outcome, second: Outcome) -> bool:
    same_weights = all(
        torch.equal(a, b)
        for a, b in zip(
            first.network.state_dict().values(), second.network.state_dict().values(), strict=True
        )
    )
    memories = [(one.folder / "memory.bin") for one in (first, second)]
    contents = [path.read_bytes() if path.exists() else b"" for path in memories]
    same_memory = contents[0] == contents[1]
    same_results = first.run.accuracy.equals(second.run.accuracy)
    return same_weights and same_memory and same_results and first.losses == second.losses


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "er"},
        {"strategy": "ncm"},
        pytest.param({"strategy": "icarl"}, marks=pytest.mark.slow),
        pytest.param({"strategy": "avalanche:LwFPlugin"}, marks=pytest.mark.slow),
        {"strategy": "er", "model": "slim_resnet18", "learner": "pixels", "format": "raw"},
        {"strategy": "er", "scenario": "online:size=8", "eval_every": 3},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_tests_between_steps_change_no_number_of_the_run(
    data: RunData, tmp_path: Path, options: dict[str, object]
) -> None:
    plain = run(data, tmp_path / "plain", **options)
    tested = run(data, tmp_path / "tested", **options, **TESTED)
    assert equal_apart_from_tests(plain, tested)
    assert plain.run.anytime.empty
    # NCM has no scores while it trains.
    assert tested.run.anytime.empty == (options["strategy"] == "ncm")


def test_a_run_is_tested_after_every_nth_step_on_the_experiences_so_far(
    data: RunData, tmp_path: Path
) -> None:
    outcome = run(data, tmp_path / "run", epochs=2, eval_steps=4, eval_images=3)
    rows = outcome.run.anytime
    steps = len(outcome.losses)
    assert rows["step"].unique().tolist() == list(range(4, steps + 1, 4))
    assert (rows["total"] == 3).all()
    assert (rows["experience"] <= rows["in_experience"]).all()
    assert 0 <= outcome.row["worst_case_accuracy"] <= 1
    assert 0 <= outcome.row["average_anytime_accuracy"] <= 1


def test_an_interrupted_run_has_the_same_rows_each_once(data: RunData, tmp_path: Path) -> None:
    whole = run(data, tmp_path / "whole", **TESTED)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "resumed", stop_at=(1, 2), **TESTED)
    resumed = run(data, tmp_path / "resumed", **TESTED)
    pd.testing.assert_frame_equal(whole.run.anytime, resumed.run.anytime)
    assert whole.row["average_anytime_accuracy"] == resumed.row["average_anytime_accuracy"]


def test_runs_of_other_seeds_and_class_orders_are_tested_on_the_same_images(
    data: RunData, tmp_path: Path
) -> None:
    chosen = []
    for seed, order in ((0, 1993), (1, 5)):
        config = RunConfig(
            **{"data_root": data.dataset.root, **OPTIONS, "seed": seed, "class_order_seed": order}
        )
        experiment = Experiment(config, data, tmp_path / "run")
        classes = data.dataset.val.labels
        subset = AnytimeSubset(experiment.stream, experiment.tests.labels, classes, 3)
        chosen.append(sorted(subset.ids.tolist()))
        assert np.bincount(classes[subset.ids]).tolist() == [3, 3, 3, 3]
    assert chosen[0] == chosen[1]


def test_a_subset_of_all_images_has_the_accuracy_of_the_run(data: RunData, tmp_path: Path) -> None:
    outcome = run(data, tmp_path / "run", eval_steps=1, eval_images=1000)
    rows = outcome.run.anytime
    last = rows[rows["step"] == rows["step"].max()]
    assert last["correct"].sum() / last["total"].sum() == outcome.row["final_accuracy"]


def test_the_linear_probe_of_the_final_features_is_in_the_results(
    data: RunData, tmp_path: Path
) -> None:
    plain = run(data, tmp_path / "plain")
    probed = run(data, tmp_path / "probed", linear_probe=True)
    assert equal_apart_from_tests(plain, probed)
    assert probed.row["linear_probe_accuracy"] > 0.5
    assert np.isnan(plain.row["linear_probe_accuracy"])
