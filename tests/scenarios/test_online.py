"""Online streams show every image once, in small experiences without boundaries."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.colour_stream import colours, run
from helpers.label_streams import check_labels, dataset, stream
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.settings import StreamSettings
from seit_cl.experiment import experiment
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.reporting.build import build_report

OPTIONS: dict[str, Any] = {"scenario": "online:size=10", "eval_every": 2, "format": "tokens"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("online") / "colours")


@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=8),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_every_image_is_in_one_experience_of_the_requested_size(
    counts: list[int], size: int, seed: int
) -> None:
    images = dataset(*counts)
    scenario = stream(f"online:size={size}", images, StreamSettings(2, class_order_seed=seed))
    assert torch.cat(scenario.train).sort().values.tolist() == list(range(sum(counts)))
    assert [len(ids) for ids in scenario.train[:-1]] == [size] * (len(scenario) - 1)
    assert 1 <= len(scenario.train[-1]) <= size
    assert not scenario.boundaries
    check_labels(scenario, images)


def test_groups_of_classes_follow_one_another_each_in_random_order() -> None:
    images = dataset(*[10] * 6)
    scenario = stream("online:size=7", images, StreamSettings(3))
    shown = scenario.labels(images.train.labels)[torch.cat(scenario.train)]
    assert [set(part.tolist()) for part in shown.split(20)] == [{0, 1}, {2, 3}, {4, 5}]
    assert any(part.tolist() != part.sort().values.tolist() for part in shown.split(20))
    other = stream("online:size=7", images, StreamSettings(3, class_order_seed=7))
    assert torch.cat(other.train).tolist() != torch.cat(scenario.train).tolist()


def test_more_than_one_pass_is_refused_where_fresh_images_are_trained_on(
    data: RunData, tmp_path: Path
) -> None:
    def experiment(strategy: str) -> Experiment:
        config = RunConfig(
            data_root=data.dataset.root,
            scenario="online",
            epochs=2,
            experiences=2,
            strategy=strategy,
            device="cpu",
        )
        return Experiment(config, data, tmp_path)

    with pytest.raises(UserError, match="--epochs 1"):
        experiment("er")
    for free in ("joint", "cumulative", "gdumb"):
        experiment(free)
    with pytest.raises(UserError, match="size=0"):
        build_recipe("online:size=0")


@pytest.mark.parametrize("strategy", ["er", "agem", "gdumb"])
def test_an_interrupted_run_without_boundaries_has_the_numbers_of_an_uninterrupted_one(
    data: RunData, tmp_path: Path, strategy: str
) -> None:
    whole = run(data, tmp_path / "whole", strategy=strategy, **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "cut", stop_at=(2, 1), strategy=strategy, **OPTIONS)
    resumed = run(data, tmp_path / "cut", strategy=strategy, **OPTIONS)
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    pd.testing.assert_frame_equal(resumed.run.accuracy, whole.run.accuracy)
    for name in ("accuracy.csv", "memory.csv", "memory.bin"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_a_run_commits_after_tests_and_now_and_then_and_resumes_exactly_from_either(
    data: RunData, tmp_path: Path, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "COMMIT_SECONDS", seconds)
    whole = run(data, tmp_path / "whole", **OPTIONS)
    committed = re.findall(r"experience (\d) of 5:", (whole.folder / "log.txt").read_text())
    assert committed == (["1", "2", "3", "4", "5"] if seconds == 0.0 else ["2", "4", "5"])
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "cut", stop_at=(3, 1), **OPTIONS)
    resumed = run(data, tmp_path / "cut", **OPTIONS)
    assert len(resumed.losses) == (2 if seconds == 0.0 else 3) * 2 - 1
    for name in ("accuracy.csv", "memory.csv", "memory.bin"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_part_of_each_group_can_be_left_out() -> None:
    images = dataset(*[10] * 6)
    scenario = stream("online:size=6,left_out=0.1", images, StreamSettings(3))
    shown = torch.cat(scenario.train)
    labels = scenario.labels(images.train.labels)[shown]
    assert [set(part.tolist()) for part in labels.split(18)] == [{0, 1}, {2, 3}, {4, 5}]
    assert len(set(shown.tolist())) == len(shown) == 54
    assert sum(len(ids) for ids in scenario.test) == len(images.val)
    with pytest.raises(UserError, match=r"left_out=1\.0: must be 0 or more and below 1"):
        build_recipe("online:left_out=1")


@pytest.mark.parametrize("strategy", ["joint", "cumulative"])
def test_a_run_tested_every_few_experiences_has_a_report(
    data: RunData, tmp_path: Path, strategy: str
) -> None:
    ended = run(data, tmp_path / "runs" / "run", strategy=strategy, **OPTIONS)
    last = len(build_recipe(OPTIONS["scenario"]).cut(data.dataset, StreamSettings(2))) - 1
    steps = sorted(set(ended.run.accuracy["after_experience"]))
    assert steps == ([last] if strategy == "joint" else [1, 3, last])
    final = ended.run.accuracy[ended.run.accuracy["after_experience"] == last]
    assert final["total"].sum() == len(data.dataset.val)
    assert ended.row["final_accuracy"] == pytest.approx(
        final["correct"].sum() / final["total"].sum()
    )
    assert build_report(tmp_path / "runs").is_file()
