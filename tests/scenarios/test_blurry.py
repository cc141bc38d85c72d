"""Blurry streams: disjoint classes in one experience, the others in several, no image twice."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers.label_streams import check_labels, dataset, stream
from seit_cl.core.errors import UserError
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.settings import StreamSettings
from seit_cl.scenarios.blurry import blur, class_shares

PERCENT = st.integers(0, 100)


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=9),
    st.integers(1, 5),
    PERCENT,
    PERCENT,
    st.integers(0, 2**32 - 1),
)
def test_every_image_is_in_one_experience(
    counts: list[int], parts: int, disjoint: int, level: int, seed: int
) -> None:
    assume(len(counts) >= parts)
    images = dataset(*counts)
    scenario = stream(
        f"blurry:disjoint={disjoint},level={level}",
        images,
        StreamSettings(parts, class_order_seed=seed),
    )
    assert torch.cat(scenario.train).sort().values.tolist() == list(range(sum(counts)))
    assert len(scenario) == parts
    assert min(map(len, scenario.train)) >= 1
    assert not scenario.boundaries
    check_labels(scenario, images)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_every_experience_has_a_class_and_blurry_ones_are_even(
    disjoint: int, blurry: int, parts: int, seed: int
) -> None:
    draw = np.random.RandomState(seed)
    if disjoint + blurry < parts:
        with pytest.raises(UserError, match="--experiences"):
            class_shares(disjoint, blurry, parts, draw)
        return
    shares = class_shares(disjoint, blurry, parts, draw)
    assert [sum(column) for column in zip(*shares, strict=True)] == [disjoint, blurry]
    assert min(sum(share) for share in shares) >= 1
    assert max(own for _, own in shares) - min(own for _, own in shares) <= 1


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=6), st.floats(0, 1), st.integers(0, 2**32 - 1)
)
def test_blurring_preserves_sizes_and_moves_no_more_samples_than_requested(
    sizes: list[int], share: float, seed: int
) -> None:
    parts = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    moving = int(sum(sizes) * share)
    mixed = blur(parts, moving, np.random.RandomState(seed))
    assert [len(part) for part in mixed] == sizes
    assert sorted(np.concatenate(mixed).tolist()) == list(range(sum(sizes)))
    moved = 0
    for after, before in zip(mixed, parts, strict=True):
        moved += len(set(after.tolist()) - set(before.tolist()))
    assert moved <= moving


def test_half_of_the_classes_are_in_one_experience_and_a_tenth_of_the_others_images_move() -> None:
    images = dataset(*[200] * 20)
    scenario = stream("blurry", images, StreamSettings(5))
    counts = torch.zeros(20, 5, dtype=torch.int64)  # images of each class in each experience
    for experience, ids in enumerate(scenario.train):
        counts[:, experience] = torch.bincount(images.train.labels[ids], minlength=20)
    experiences_of_class = (counts > 0).sum(1)
    assert int((experiences_of_class == 1).sum()) == 10
    away = 200 - counts[experiences_of_class > 1].max(1).values
    assert 0 < int(away.sum()) <= 0.1 * 10 * 200
    assert len({len(ids) for ids in scenario.train}) > 1  # random numbers of classes


def test_invalid_options_are_refused() -> None:
    for spec, word in (("blurry:disjoint=101", "disjoint=101"), ("blurry:level=-1", "level=-1")):
        with pytest.raises(UserError, match=word):
            build_recipe(spec)
    with pytest.raises(UserError, match="--first-classes"):
        stream("blurry", dataset(3, 3), StreamSettings(2, first_classes=1))
