"""The linear probe of frozen features."""

import pytest
import torch

from seit_cl.learner.linear_probe import DECAYS, fit_probe


def clusters(seed: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (300, 20) of three classes, whose means are fixed."""
    means = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(300) % 3
    random = torch.randn(300, 20, generator=torch.Generator().manual_seed(seed))
    return 5 + means[labels] + noise * random, labels


def test_classes_that_a_plane_separates_are_told_apart() -> None:
    probe = fit_probe(*clusters(1, noise=0.2), classes=3)
    assert probe.accuracy(*clusters(2, noise=0.2)) == 1.0


def test_features_without_information_are_guessed() -> None:
    features, labels = clusters(1, noise=0.2)
    shuffled = labels[torch.randperm(300, generator=torch.Generator().manual_seed(3))]
    probe = fit_probe(features, shuffled, classes=3)
    assert probe.accuracy(*clusters(2, noise=0.2)) < 0.7


def test_noisy_features_choose_a_weight_decay_by_held_out_ones() -> None:
    features, labels = clusters(1, noise=4.0)
    probe = fit_probe(features, labels, classes=3)
    assert probe.decay > min(DECAYS)
    assert probe.accuracy(*clusters(2, noise=4.0)) > 1 / 3


def test_the_same_features_give_the_same_probe() -> None:
    first = fit_probe(*clusters(1, noise=1.0), classes=3)
    second = fit_probe(*clusters(1, noise=1.0), classes=3)
    assert torch.equal(first.weight, second.weight)
    assert first.decay == pytest.approx(second.decay)
