"""Herding chooses what keeps the mean near, and experiences are offered in its order."""

import itertools

import torch

from helpers.memory_samples import ids_of, memory, room_for, samples
from seit_cl.memory.herding import best_first, herding


def test_every_prefix_is_the_greedy_choice_of_the_papers_formula():
    features = torch.randn(12, 5, generator=torch.Generator().manual_seed(0)).double()
    unit = features / features.norm(dim=1, keepdim=True)
    order = herding(features).tolist()
    assert sorted(order) == list(range(12))
    for k in range(12):
        distance = {
            i: float((unit.mean(0) - unit[[*order[:k], i]].mean(0)).norm())
            for i in set(range(12)) - set(order[:k])
        }
        assert distance[order[k]] <= min(distance.values()) + 1e-12


def test_herded_samples_stand_for_their_class_better_than_chance():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(200, 16, generator=generator) + torch.randn(16, generator=generator)
    unit = torch.nn.functional.normalize(features, dim=1)
    far = [
        float((unit[chosen].mean(0) - unit.mean(0)).norm())
        for chosen in (herding(features)[:10], slice(0, 10))
    ]
    assert far[0] < far[1] / 2


def test_best_first_takes_classes_in_turn():
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([3, 3, 3, 3, 1, 1, 1, 3, 1])
    order = best_first(features, labels)
    assert sorted(order.tolist()) == list(range(9))
    assert all(set(labels[pair].tolist()) == {1, 3} for pair in order[:8].split(2))
    for label in (1, 3):
        own = (labels == label).nonzero()[:, 0]
        assert order[labels[order] == label].tolist() == own[herding(features[own])].tolist()


def test_a_memory_of_herded_classes_shrinks_to_their_best():
    buffer = memory(room_for(12, "herding"), policy="herding")
    for label, count in itertools.product(range(4), (20,)):
        buffer.offer(samples(100 * label, [label] * count))
        assert len(buffer) == 12 and buffer.best_first
        for known in range(label + 1):
            kept = ids_of(buffer.by_class(known).inputs)
            assert kept == list(range(100 * known, 100 * known + len(kept)))
    assert buffer.counts_per_class()[:4].tolist() == [3, 3, 3, 3]
