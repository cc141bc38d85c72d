"""Class-incremental experiences partition the classes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.label_streams import dataset
from seit_cl.core.errors import UserError
from seit_cl.data.class_incremental import class_order, split_sizes
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.settings import StreamSettings


@given(st.integers(1, 120), st.integers(1, 20), st.integers(0, 60))
def test_sizes_add_up_to_the_classes_or_are_refused(
    classes: int, experiences: int, first: int
) -> None:
    try:
        sizes = split_sizes(classes, experiences, first)
    except UserError:
        return
    assert sum(sizes) == classes
    assert len(sizes) == experiences
    assert min(sizes) >= 1
    rest = sizes[1:] if first else sizes
    assert not rest or max(rest) - min(rest) <= 1


def test_experiences_partition_samples_and_classes_when_they_do_not_divide_evenly() -> None:
    data = dataset(*[3] * 11)
    scenario = build_recipe("class-incremental").cut(data, StreamSettings(4, 0, 1993, ()))
    assert [len(c) for c in scenario.classes] == [3, 3, 3, 2]
    assert torch.cat(scenario.train).sort().values.tolist() == list(range(33))
    for ids, labels in zip(scenario.train, scenario.classes, strict=True):
        assert set(scenario.labels(data.train.labels)[ids].tolist()) == set(labels)


def test_the_default_order_of_100_classes_is_the_published_one_of_seed_1993() -> None:
    assert class_order(100, 1993)[:10] == (68, 56, 78, 8, 23, 84, 90, 65, 74, 76)


def test_the_order_leaves_the_global_random_state_alone() -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    class_order(100, 1993)
    assert (np.random.get_state()[1] == before).all()


def test_an_explicit_order_is_followed_and_checked() -> None:
    names = ("c002", "c000", "c001")
    assert build_recipe("class-incremental").cut(
        dataset(*[3] * 3), StreamSettings(3, 0, 1993, names)
    ).class_order == (2, 0, 1)
    with pytest.raises(UserError, match="c009"):
        build_recipe("class-incremental").cut(
            dataset(*[3] * 3), StreamSettings(3, 0, 1993, ("c002", "c000", "c009"))
        )


def test_the_avalanche_benchmark_has_the_same_experiences() -> None:
    data = dataset(*[3] * 7)
    scenario = build_recipe("class-incremental").cut(data, StreamSettings(3, 0, 1993, ()))
    benchmark = scenario.benchmark(data)
    assert len(benchmark.train_stream) == 3
    seen = [x for x, *_ in benchmark.train_stream[1].dataset]
    assert [int(x) for x in seen] == scenario.train[1].tolist()
