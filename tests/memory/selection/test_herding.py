"""The herding policy: the beginning of every class's ranking, as far as the bytes go."""

from hypothesis import given
from hypothesis import strategies as st

from helpers.memory_samples import budget_for, ids_of, memory, samples
from helpers.policy_streams import offer_stream, stored

COSTS = st.lists(st.integers(1, 30), min_size=1, max_size=40)


@given(experiences=st.lists(COSTS, min_size=1, max_size=4), capacity=st.integers(30, 400))
def test_every_class_stores_the_first_of_its_ranking_and_stops_when_the_bytes_do(
    experiences, capacity
):
    """Every experience has two classes, offered best first in turn; records of any length."""
    stream = []
    for experience, costs in enumerate(experiences):
        stream += [(2 * experience + i % 2, cost) for i, cost in enumerate(costs)]
    selection = offer_stream("herding", stream, capacity, 0)
    positions = selection.slots.column("offset")
    for label, group in enumerate(selection.slots.groups):
        ranking = [position for position, (own, _) in enumerate(stream) if own == label]
        assert positions[list(group)].tolist() == ranking[: len(group)]
    assert len(stored(selection)) == len(stream) or selection.full


def test_a_memory_of_herded_classes_shrinks_to_their_best():
    buffer = memory(budget_for(12, "herding"), policy="herding")
    assert buffer.selection.best_first
    for label in range(4):
        buffer.offer(samples(100 * label, [label] * 20))
        assert len(buffer) == 12
        for earlier in range(label + 1):
            ids = ids_of(buffer.by_class(earlier).inputs)
            assert ids == list(range(100 * earlier, 100 * earlier + len(ids)))
    assert buffer.counts_per_class()[:4].tolist() == [3, 3, 3, 3]
