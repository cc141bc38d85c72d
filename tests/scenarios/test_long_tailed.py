"""Long-tailed streams: class sizes fall exponentially, the test set stays."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.label_streams import check_labels, dataset, stream
from seit_cl.core.errors import UserError
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.settings import StreamSettings
from seit_cl.scenarios.long_tailed import tail_sizes


def test_sizes_are_those_of_the_published_profile() -> None:
    assert tail_sizes(500, 100, 100)[:4] == [500, 477, 455, 434]  # CIFAR-100-LT
    assert tail_sizes(500, 100, 100)[-1] == 5
    assert tail_sizes(100, 3, 100) == [100, 10, 1]
    assert tail_sizes(7, 1, 100) == [7]


@given(st.integers(1, 1300), st.integers(1, 200), st.floats(1, 1000))
def test_sizes_fall_from_the_largest_and_no_class_is_empty(
    largest: int, classes: int, ratio: float
) -> None:
    sizes = tail_sizes(largest, classes, ratio)
    assert sizes[0] == largest
    assert min(sizes) >= 1
    assert sizes == sorted(sizes, reverse=True)


@given(st.sampled_from(["shuffled", "ordered"]), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_classes_have_the_sizes_and_no_image_occurs_twice(
    order: str, classes: int, seed: int
) -> None:
    images = dataset(*[40] * classes)
    scenario = stream(
        f"long-tailed:ratio=20,order={order}", images, StreamSettings(2, class_order_seed=seed)
    )
    ids = torch.cat(scenario.train)
    assert len(ids.unique()) == len(ids)
    counts = torch.bincount(scenario.labels(images.train.labels)[ids], minlength=classes).tolist()
    expected = tail_sizes(40, classes, 20)
    assert counts == expected if order == "ordered" else sorted(counts, reverse=True) == expected
    assert scenario.boundaries
    check_labels(scenario, images)


def test_a_class_with_fewer_images_than_its_size_uses_all_of_them() -> None:
    images = dataset(40, 3, 40)
    scenario = stream("long-tailed:ratio=2,order=ordered", images, StreamSettings(3))
    ids = torch.cat(scenario.train)
    assert int((images.train.labels[ids] == 1).sum()) == 3


def test_sizes_and_images_follow_the_class_order_seed() -> None:
    images = dataset(*[60] * 10)
    first, second = (
        stream("long-tailed", images, StreamSettings(5, class_order_seed=seed)) for seed in (1, 2)
    )
    assert torch.cat(first.train).tolist() != torch.cat(second.train).tolist()


def test_invalid_options_are_refused() -> None:
    with pytest.raises(UserError, match=r"ratio=0\.01"):
        build_recipe("long-tailed:ratio=0.01")
    with pytest.raises(UserError, match="order"):
        build_recipe("long-tailed:order=random")
