"""Replicates: runs of one setting that differ by their seed, their class order, or both.

The seed moves initialisation, the order of fresh samples, augmentation, replay and selection; the
class order moves the stream. An interval covers what its runs vary, so reports say which it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from seit_cl.results.names import YOUNGER_COLUMNS
from seit_cl.results.run_files import Run

ONE_SEED = "one seed"


class Replicate(NamedTuple):
    """Seed and class order seed of a run: what it is paired by, and what intervals cover."""

    seed: int
    order: int


def replicate_of(run: Run) -> Replicate:
    """The replicate that a run is."""
    order = run.get("class_order_seed", YOUNGER_COLUMNS["class_order_seed"])
    return Replicate(int(run.get("seed", 0)), int(order))


def seeds_in(replicates: Iterable[Replicate]) -> int:
    """The number of different seeds."""
    return len({replicate.seed for replicate in replicates})


def orders_in(replicates: Iterable[Replicate]) -> int:
    """The number of different class orders."""
    return len({replicate.order for replicate in replicates})


def replication_text(points: Iterable[Collection[Replicate]]) -> str:
    """Describe how the runs behind each point of a figure or each row of a table vary.

    Args:
        points: the replicates of each point, each of them once.

    Returns:
        such as "5 seeds, one class order", "5 seeds, each with its class order", "5 class orders,
        one seed", "3 seeds x 5 class orders", or "one seed" where no point has two replicates.
    """
    several = [set(point) for point in points if len(set(point)) > 1]
    if not several:
        return ONE_SEED
    seeds = [seeds_in(point) for point in several]
    orders = [orders_in(point) for point in several]
    sizes = [len(point) for point in several]
    seed_count = f"{_span(seeds)} seeds"
    order_count = f"{_span(orders)} class orders"
    if max(orders) == 1:
        return f"{seed_count}, one class order"
    if max(seeds) == 1:
        return f"{order_count}, one seed"
    if seeds == orders == sizes:
        return f"{seed_count}, each with its class order"
    if all(size == a * b for size, a, b in zip(sizes, seeds, orders, strict=True)):
        return f"{seed_count} x {order_count}"
    return f"{_span(sizes)} runs of {seed_count} and {order_count}"


def _span(counts: Collection[int]) -> str:
    """The smallest and the largest count, such as "2 to 5", or the only one."""
    smallest = min(counts)
    largest = max(counts)
    return str(largest) if smallest == largest else f"{smallest} to {largest}"
