"""Ways to store images that are tried before one is chosen, on blocks of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from seit_cl.core.blocks import images_at_once, slices
from seit_cl.data.samples import Samples
from seit_cl.formats._quality import replay_error
from seit_cl.formats._records import Records

# From samples (B,) to their records, and to the images (B, 3, S, S) uint8 that these decode to.
Store = Callable[[Samples], tuple[Records, Tensor]]
Features = Callable[[Tensor], Tensor]  # from images to (B, F), each row of unit length
AT_ONCE = 256  # images of a block at most


class Trial:
    """A way to store images, tried on one block after the other.

    Args:
        store: the way.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._features: list[Tensor] = []
        self._bytes = 0
        self._count = 0

    def add(self, block: Samples, features: Features) -> None:
        """Store and decode a block, and keep the features of the decoded images."""
        records, decoded = self._store(block)
        self._bytes += int(records.lengths.sum())
        self._count += len(records)
        self._features.append(features(decoded))

    @property
    def mean_length(self) -> float:
        """Mean bytes of a record."""
        return self._bytes / self._count

    @property
    def features(self) -> Tensor:
        """Features (B, F) of all decoded images."""
        return torch.cat(self._features)

    def error(self, fresh: Tensor, labels: Tensor, exemplars_per_class: float) -> float:
        """Error on fresh images of a classifier of the exemplars that fit (`replay_error`)."""
        return replay_error(self.features, fresh, labels, exemplars_per_class)


def blocks_of(samples: Samples, side: int) -> Iterator[Samples]:
    """Blocks of samples whose pixels are in memory.

    Args:
        samples: (B,).
        side: of their images in pixels.
    """
    for part in slices(len(samples), images_at_once(side, AT_ONCE)):
        block = samples[part]
        yield Samples.of_images(block.pixels(), block.labels)


def fresh_features(samples: Samples, side: int, features: Features) -> Tensor:
    """Features (B, F) of samples (B,) of a side in pixels."""
    return torch.cat([features(block.pixels()) for block in blocks_of(samples, side)])


def try_all(trials: Sequence[Trial], samples: Samples, side: int, features: Features) -> Tensor:
    """Try several ways on the same samples, each image of which is read once.

    Args:
        trials: get the samples.
        samples: (B,).
        side: of their images in pixels.
        features: as in `Trial.add`.

    Returns:
        Features (B, F) of the images before they were stored.
    """
    fresh = []
    for block in blocks_of(samples, side):
        fresh.append(features(block.pixels()))
        for trial in trials:
            trial.add(block, features)
    return torch.cat(fresh)
