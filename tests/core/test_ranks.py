"""Rows and gradients divided among ranks give what one process gives, and differences are told."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers.forked_ranks import in_ranks
from seit_cl.core import torchrun
from seit_cl.core.errors import UserError
from seit_cl.core.ranks import Ranks

FEATURES = 3
CLASSES = 4


def gradients(ranks: Ranks, rows: int) -> list[Tensor]:
    """Gradients of a loss that uses all logits at once, and the weights directly."""
    generator = torch.Generator().manual_seed(rows)
    inputs = torch.randn(rows, FEATURES, generator=generator)
    layer = nn.Linear(FEATURES, CLASSES)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    own = ranks.own_rows(inputs)
    logits = ranks.whole(layer(own), rows) if ranks.several else layer(own)
    assert logits.shape == (rows, CLASSES)
    largest = logits.logsumexp(0).square().sum()  # no mean over samples
    (largest + layer.weight.square().sum()).backward()
    ranks.average_gradients(layer.parameters())
    results = [logits.detach()]
    for weight in layer.parameters():
        assert weight.grad is not None
        results.append(weight.grad)
    return results


def everything(ranks: Ranks) -> dict[str, Any]:
    """One result of each exchange."""
    batch = torch.arange(10.0).view(5, 2)
    events: list[str] = []
    with ranks.first_before_others():
        events.append("done")
    with ranks.alone():
        alone = ranks.in_parts(lambda part: part * 2, batch)
    problem = ""
    try:
        ranks.require_equal({"a": "ff", "b": f"{ranks.rank // 2:x}"}, "now")
    except UserError as error:
        problem = str(error)
    return {
        "gradients": [gradients(ranks, rows) for rows in (1, 2, 3, 8)],
        "parts": ranks.in_parts(lambda part: part.sum(1).long(), batch),
        "none": ranks.in_parts(lambda part: part, batch[:0]),
        "alone": alone,
        "of first": ranks.of_first([ranks.rank, "é"]),
        "events": events,
        "problem": problem,
    }


@pytest.fixture(scope="module", params=[2, 3])
def results(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return in_ranks(request.param, everything)


def test_gradients_are_those_of_one_process_whatever_the_number_of_rows(
    results: list[dict[str, Any]],
) -> None:
    for result in results:
        for rows, found in zip((1, 2, 3, 8), result["gradients"], strict=True):
            torch.testing.assert_close(found, gradients(Ranks(), rows))


def test_every_rank_has_the_same_bits(results: list[dict[str, Any]]) -> None:
    for result in results[1:]:
        for one, other in zip(result["gradients"], results[0]["gradients"], strict=True):
            assert all(map(torch.equal, one, other))


def test_every_rank_gets_the_results_of_all_rows(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert result["parts"].tolist() == [1, 5, 9, 13, 17]
        assert result["none"].shape == (0, 2)
        assert result["alone"].tolist() == (2 * torch.arange(10.0).view(5, 2)).tolist()
        assert result["of first"] == [0, "é"]
        assert result["events"] == ["done"]


def test_a_rank_that_differs_is_named_in_all(results: list[dict[str, Any]]) -> None:
    for result in results:
        if len(results) == 2:
            assert result["problem"] == ""
        else:
            assert result["problem"].startswith("b of rank 2 is another than that of rank 0 now;")


def test_the_others_wait_for_the_first_and_a_rank_that_has_ended_is_told() -> None:
    def end(ranks: Ranks) -> None:
        if ranks.is_first:
            raise UserError("no data")
        with ranks.first_before_others():
            raise AssertionError("the first rank has not done its part")

    first, second = in_ranks(2, end)
    assert str(first) == "no data"
    assert str(second).startswith("torchrun: rank 1 of 2 has lost another one, which ended or")


def test_a_rank_that_hangs_is_given_up() -> None:
    def hang(ranks: Ranks) -> None:
        if ranks.rank == 1:
            time.sleep(4.0)
        else:
            ranks.of_first(1)

    first, _ = in_ranks(2, hang, timeout=1.0)
    assert str(first).startswith("torchrun: rank 0 of 2 has lost another one, which ended or gave")


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")  # as some clusters set it for every program
    monkeypatch.setenv("RANK", "3")
    assert (torchrun.count(), torchrun.rank()) == (1, 0)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert (torchrun.count(), torchrun.rank()) == (8, 3)
    with pytest.raises(UserError, match="torchrun: compare does not divide its work among 8"):
        torchrun.refuse_several("compare")


def test_a_single_process_exchanges_nothing() -> None:
    double: Callable[[Tensor], Tensor] = lambda part: part * 2  # noqa: E731
    alone = Ranks()
    assert not alone.several
    assert alone.of_first({"a": 1}) == {"a": 1}
    assert alone.in_parts(double, torch.ones(2)).tolist() == [2.0, 2.0]
    alone.require_equal({"a": "0"}, "now")
