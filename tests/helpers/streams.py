"""What the tests of boundary-free and uneven streams share: datasets of labels alone, and checks of a stream."""

from pathlib import Path

import numpy as np
import torch

from seit_cl.data.base import Dataset, Split
from seit_cl.data.scenario import Scenario, StreamSettings
from seit_cl.data.scenario_recipe import build_recipe


def dataset(*counts: int) -> Dataset:
    """As many train images of each class as is said, and 3 val images; there are no files."""
    train = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    val = torch.arange(len(counts)).repeat_interleave(3)
    splits = [Split([Path(str(i)) for i in range(len(labels))], labels) for labels in (train, val)]
    return Dataset("test", Path("."), [f"c{i:03d}" for i in range(len(counts))], *splits)


def stream(spec: str, data: Dataset, cut: StreamSettings) -> Scenario:
    """The scenario that a run would get. The global random state is the same after it, and it is the same every time."""
    np.random.seed(5)
    before, torch_before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    scenario = build_recipe(spec).cut(data, cut)
    assert (np.random.get_state()[1] == before).all() and torch.equal(
        torch.random.get_rng_state(), torch_before
    )
    again = build_recipe(spec).cut(data, cut)
    assert again.class_order == scenario.class_order
    assert all(torch.equal(a, b) for a, b in zip(again.train, scenario.train, strict=True))
    return scenario


def check_labels(scenario: Scenario, data: Dataset) -> None:
    """Labels come in the order of first appearance; a class is tested once, from there on."""
    labels, tested = scenario.labels(data.train.labels), scenario.labels(data.val.labels)
    before = 0
    for step, (ids, test) in enumerate(zip(scenario.train, scenario.test, strict=True)):
        assert sorted(set(labels[ids].tolist())) == list(scenario.classes[step])
        assert scenario.seen(step) == max(before, int(labels[ids].max()) + 1)
        assert set(tested[test].tolist()) == set(range(before, scenario.seen(step)))
        before = scenario.seen(step)
    assert before == len(data.classes)
    assert torch.cat(scenario.test).sort().values.tolist() == list(range(len(data.val)))
