"""Streams that strategies train on: the scenario's own, joined, or accumulated."""

import torch

from seit_cl.config import RunConfig
from seit_cl.data.scenario import Scenario
from seit_cl.experiment.build import build_strategy

STREAM = Scenario(
    name="test",
    class_order=(2, 0, 1),
    train=(torch.tensor([4, 1]), torch.tensor([0]), torch.tensor([3, 2])),
    test=(torch.tensor([0]), torch.tensor([1]), torch.tensor([2])),
    classes=((0,), (1,), (2,)),
)


def training_stream(strategy: str) -> Scenario:
    return build_strategy(RunConfig(strategy=strategy)).training_stream(STREAM)


def trained_ids(stream: Scenario) -> list[list[int]]:
    return [stream.training_ids(experience).tolist() for experience in range(len(stream))]


def test_most_strategies_train_on_the_scenarios_own_stream() -> None:
    assert training_stream("er") is STREAM
    assert trained_ids(STREAM) == [[4, 1], [0], [3, 2]]


def test_joint_trains_on_the_whole_stream_at_once() -> None:
    stream = training_stream("joint")
    assert trained_ids(stream) == [[4, 1, 0, 3, 2]]
    assert stream.seen(0) == 3


def test_cumulative_trains_on_all_experiences_so_far() -> None:
    stream = training_stream("cumulative")
    assert trained_ids(stream) == [[4, 1], [4, 1, 0], [4, 1, 0, 3, 2]]
    assert [stream.seen(experience) for experience in range(3)] == [1, 2, 3]
