"""Reservoir sampling: uniform over the stream."""

import numpy as np

from helpers.policy_streams import offer_stream, stored


def test_every_sample_of_the_stream_stays_with_the_same_chance():
    counts = np.zeros(60)
    for seed in range(3000):
        counts[stored(offer_stream("reservoir", [(0, 1)] * 60, 12, seed))] += 1
    expected = 3000 * 12 / 60
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected * 0.8)
