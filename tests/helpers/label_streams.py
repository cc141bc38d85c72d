"""Datasets of labels without files, and checks of the streams that scenarios cut of them."""

from pathlib import Path

import numpy as np
import torch

from seit_cl.data.base import Dataset, Split
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.settings import StreamSettings
from seit_cl.data.stored import ImageFile

VAL_IMAGES = 3  # of each class


def dataset(*counts: int) -> Dataset:
    """A dataset with that many train images of each class; the files do not exist."""
    classes = torch.arange(len(counts))
    train = classes.repeat_interleave(torch.tensor(counts))
    val = classes.repeat_interleave(VAL_IMAGES)
    names = [f"c{i:03d}" for i in range(len(counts))]
    return Dataset("test", Path("."), names, _split(train), _split(val))


def _split(labels: torch.Tensor) -> Split:
    return Split([ImageFile(Path(str(i)), Path(".")) for i in range(len(labels))], labels)


def stream(spec: str, data: Dataset, settings: StreamSettings) -> Scenario:
    """Cut a scenario, checking that it is reproducible and moves no global random state."""
    np.random.seed(5)
    numpy_state = np.random.get_state()[1].copy()
    torch_state = torch.random.get_rng_state()
    scenario = build_recipe(spec).cut(data, settings)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    again = build_recipe(spec).cut(data, settings)
    assert again.class_order == scenario.class_order
    assert all(torch.equal(a, b) for a, b in zip(again.train, scenario.train, strict=True))
    return scenario


def check_labels(scenario: Scenario, data: Dataset) -> None:
    """Check that labels follow first appearance, and that a class is tested from there, once."""
    train_labels = scenario.labels(data.train.labels)
    val_labels = scenario.labels(data.val.labels)
    before = 0
    for experience, (ids, test) in enumerate(zip(scenario.train, scenario.test, strict=True)):
        seen = scenario.seen(experience)
        assert sorted(set(train_labels[ids].tolist())) == list(scenario.classes[experience])
        assert seen == max(before, int(train_labels[ids].max()) + 1)
        assert set(val_labels[test].tolist()) == set(range(before, seen))
        before = seen
    assert before == len(data.classes)
    assert torch.cat(scenario.test).sort().values.tolist() == list(range(len(data.val)))
