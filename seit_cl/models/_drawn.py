"""Weights of networks that draw from torch's global generator, made to depend on a run's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


def drawn_from(generator: torch.Generator, make: Callable[[], N]) -> N:
    """Make a network whose weights depend on a generator alone.

    Args:
        generator: on the CPU; one number is drawn from it, as a seed.
        make: makes the network on the CPU, and may draw from torch's global generator, whose state
            is the same afterwards.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()
