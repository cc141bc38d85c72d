"""Herding rankings: each next sample keeps the mean nearest to the class mean."""

import torch
from torch.nn import functional as F

from seit_cl.memory.herding import best_first, herding


def test_every_rank_is_the_greedy_choice_of_the_papers_formula():
    features = torch.randn(12, 5, generator=torch.Generator().manual_seed(0)).double()
    unit = F.normalize(features, dim=1)
    order = herding(features).tolist()
    assert sorted(order) == list(range(12))
    for rank in range(12):
        distances = {}
        for candidate in set(range(12)) - set(order[:rank]):
            mean = unit[[*order[:rank], candidate]].mean(0)
            distances[candidate] = float((unit.mean(0) - mean).norm())
        assert distances[order[rank]] <= min(distances.values()) + 1e-12


def test_herded_samples_stand_for_their_class_better_than_the_first_ones():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(200, 16, generator=generator) + torch.randn(16, generator=generator)
    unit = F.normalize(features, dim=1)
    herded = float((unit[herding(features)[:10]].mean(0) - unit.mean(0)).norm())
    first = float((unit[:10].mean(0) - unit.mean(0)).norm())
    assert herded < first / 2


def test_best_first_takes_classes_in_turn():
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([3, 3, 3, 3, 1, 1, 1, 3, 1])
    order = best_first(features, labels)
    assert sorted(order.tolist()) == list(range(9))
    assert all(set(labels[pair].tolist()) == {1, 3} for pair in order[:8].split(2))
    for label in (1, 3):
        own = (labels == label).nonzero()[:, 0]
        assert order[labels[order] == label].tolist() == own[herding(features[own])].tolist()
