"""Random integers for selection decisions, reproducible from a seed and a sample's number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_WORDS = 4  # 64-bit words drawn ahead for each sample
_FURTHER_WORDS = 64  # words drawn at a time once those are used up
_SAMPLE_STREAM = 1  # number of the stream with further words of samples
_SHRINK_STREAM = 2  # number of the stream with words for shrinking


class RandomWords:
    """Counter-based random words (Philox, Salmon et al., SC 2011).

    Every sample has words of its own, drawn ahead for a batch of samples; if a decision takes more
    of them, further ones come from another stream. The words of a sample are therefore the same for
    every batching, and for a memory that was read from its file.

    Args:
        seed: key of the generator, 0..2**64-1.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._ahead: list[int] = []
        self._first = 0  # samples offered before those that words were drawn for
        self._next = 0  # index of the next word in `_ahead`
        self._end = 0
        self._stream = _SAMPLE_STREAM
        self._offered = 0
        self._further: Iterator[int] | None = None

    def prepare(self, offered: int, count: int) -> None:
        """Draw words ahead for `count` samples.

        Args:
            offered: number of samples offered before these.
            count: number of samples.
        """
        generator = np.random.Philox(key=self._seed, counter=offered)
        self._ahead = generator.random_raw(_WORDS * count).tolist()
        self._first = offered

    def start_sample(self, offered: int) -> None:
        """Use the words of sample number `offered`, counted from 1; it must have been prepared."""
        self._next = (offered - 1 - self._first) * _WORDS
        self._end = self._next + _WORDS
        self._stream = _SAMPLE_STREAM
        self._offered = offered
        self._further = None

    def start_shrink(self, offered: int) -> None:
        """Use the words for shrinking a memory after `offered` samples."""
        self._end = self._next
        self._stream = _SHRINK_STREAM
        self._offered = offered
        self._further = None

    def below(self, bound: int) -> int:
        """Draw an integer in 0..bound-1, uniformly."""
        if self._next < self._end:
            word = self._ahead[self._next]
            self._next += 1
        else:
            if self._further is None:
                self._further = self._further_words()
            word = next(self._further)
        return word * bound >> 64

    def _further_words(self) -> Iterator[int]:
        """Yield the words that follow those drawn ahead."""
        key = self._seed + (self._stream << 64)
        generator = np.random.Philox(key=key, counter=self._offered << 64)
        while True:
            yield from generator.random_raw(_FURTHER_WORDS).tolist()
