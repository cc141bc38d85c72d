"""Streams of (label, cost) pairs offered to a selection policy on its own."""

from collections.abc import Sequence

import numpy as np

from seit_cl.memory import policy_names
from seit_cl.memory.selection import PolicyContext, SelectionPolicy, build_policy

POLICIES = policy_names()
# Policies that decide by chance, not by a ranking of the samples.
RANDOM = [
    name for name in POLICIES if not build_policy(name, PolicyContext(classes=1, seed=0)).best_first
]


def offer_stream(
    policy: str,
    stream: Sequence[tuple[int, int]],
    capacity: int,
    seed: int,
    max_exemplars: int = 0,
) -> SelectionPolicy:
    """Offer (label, cost) pairs in one batch; the offset of a stored sample is its position."""
    classes = max(label for label, _ in stream) + 1
    selection = build_policy(policy, PolicyContext(classes, seed, max_exemplars))
    selection.begin(len(stream))
    for position, (label, cost) in enumerate(stream):
        if selection.admit(label, cost, capacity):
            selection.slots.append(label, offset=position, length=cost, cost=cost)
        assert selection.slots.total_cost <= capacity
        assert not max_exemplars or len(selection.slots) <= max_exemplars
    return selection


def stored(selection: SelectionPolicy) -> np.ndarray:
    """The positions in the stream of the samples that a policy stores, in canonical order."""
    return selection.slots.column("offset")[selection.slots.order()]
