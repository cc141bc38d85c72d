"""Words for what the runs behind a number vary."""

import pytest

from seit_cl.results.replicates import Replicate, replication_text


def crossed(seeds: int, orders: int) -> list[Replicate]:
    replicates = []
    for seed in range(seeds):
        replicates += [Replicate(seed, order) for order in range(orders)]
    return replicates


PAIRED = [Replicate(seed, 1993 + seed) for seed in range(5)]


@pytest.mark.parametrize(
    ("points", "text"),
    [
        ([crossed(1, 1)], "one seed"),
        ([], "one seed"),
        ([crossed(5, 1)], "5 seeds, one class order"),
        ([crossed(1, 3)], "3 class orders, one seed"),
        ([PAIRED], "5 seeds, each with its class order"),
        ([PAIRED, PAIRED[:1]], "5 seeds, each with its class order"),
        ([PAIRED, PAIRED[:3]], "3 to 5 seeds, each with its class order"),
        ([crossed(3, 5)], "3 seeds x 5 class orders"),
        ([crossed(3, 2), crossed(5, 2)], "3 to 5 seeds x 2 class orders"),
        ([[*PAIRED, Replicate(9, 1993)]], "6 runs of 6 seeds and 5 class orders"),
    ],
)
def test_what_varies_is_said_in_words(points: list[list[Replicate]], text: str) -> None:
    assert replication_text(points) == text
