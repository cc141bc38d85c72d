"""Random words of selection: the same for every batching, and different for every sample."""

import numpy as np
import pytest

from seit_cl.memory.selection._random_words import RandomWords

BOUND = 1 << 40


def draws(words: RandomWords, count: int) -> list[int]:
    return [words.below(BOUND) for _ in range(count)]


def test_the_words_of_a_sample_do_not_depend_on_the_batches():
    whole = RandomWords(7)
    pieces = RandomWords(7)
    whole.prepare(0, 6)
    for sample in range(1, 7):
        if sample % 2:
            pieces.prepare(sample - 1, 2)
        whole.start_sample(sample)
        pieces.start_sample(sample)
        assert draws(whole, 150) == draws(pieces, 150)  # more than are drawn ahead


def test_samples_seeds_and_shrinking_have_words_of_their_own():
    words = RandomWords(7)
    other = RandomWords(8)
    words.prepare(0, 2)
    other.prepare(0, 2)
    seen = []
    for sample in (1, 2):
        words.start_sample(sample)
        other.start_sample(sample)
        seen += draws(words, 100) + draws(other, 100)
        words.start_shrink(sample)
        seen += draws(words, 100)
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("bound", [1, 3, 10])
def test_integers_are_uniform_below_the_bound(bound):
    words = RandomWords(0)
    words.start_shrink(0)
    counts = np.bincount([words.below(bound) for _ in range(6000)], minlength=bound)
    assert len(counts) == bound
    assert np.abs(counts - 6000 / bound).max() < 5 * np.sqrt(6000 / bound)
