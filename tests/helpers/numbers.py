"""Random numbers for augmentation, from a generator."""

from __future__ import annotations

import torch
from torch import Tensor

from seit_cl.learner.augment.crops import RandomBoxes
from seit_cl.learner.augment.draws import Numbers
from seit_cl.learner.interfaces import Augment


def drawn(augment: Augment, raw: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw the random numbers that an augmentation needs for a batch.

    Args:
        augment: the augmentation.
        raw: tokens (B, G, S, S) or pixels (B, 3, S, S).
        generator: on the device of `raw`.
    """
    layout = augment.layout(raw.shape[1:])
    return layout.numbers(layout.draw([(len(raw), generator)]))


def drawn_boxes(numbers: Numbers, smallest_area: float) -> Tensor:
    """Compute the crop boxes (B, 4) that an augmentation's numbers stand for.

    Args:
        numbers: those of an augmentation that crops at random.
        smallest_area: of a box, as a fraction of the image.
    """
    corner, size = RandomBoxes((smallest_area, 1.0))(numbers["boxes"])
    return torch.cat([corner, size], dim=1)
