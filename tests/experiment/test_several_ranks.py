"""A run in several processes is the run of one: memory, order, losses, resuming; others are
refused."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from helpers.colour_stream import OPTIONS, Outcome, colours, run, summary_row
from helpers.forked_ranks import DIED, in_ranks
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.ranks import Ranks
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.results.run_files import read_run

SMALL = {"ranpac": "ranpac:dimensions=60"}  # its own number of dimensions takes seconds
ABLE = []
for name in sorted(plugins.names("strategy")):
    if plugins.load("strategy", name).several_ranks:
        ABLE.append(SMALL.get(name, name))
# 24 samples in steps of 7 and 5 exemplars: the last step has 3 and 5, and 4 ranks do not divide 12.
UNEVEN = {"batch": 7, "replay_batch": 5, "memory_mb": 0.001}
CLOSE = {"rtol": 1e-3, "atol": 1e-4}  # float32, over a few steps


class Ended(NamedTuple):
    """Results of a run in several processes."""

    folder: Path
    losses: list[float]
    fresh: list[list[int]]
    weights: dict[str, torch.Tensor]

    @staticmethod
    def of(outcome: Outcome) -> "Ended":
        """The part of an outcome that processes can send."""
        state = outcome.network.state_dict()
        return Ended(outcome.folder, outcome.losses, outcome.fresh, state)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    data = colours(tmp_path_factory.mktemp("data") / "colours")
    _ = data.test_tokens  # once for all processes
    return data


def runs_in_ranks(data: RunData, folder: Path, count: int, **options: Any) -> list[Ended]:
    """The same run as every rank sees it."""
    return in_ranks(count, lambda ranks: Ended.of(run(data, folder, ranks=ranks, **options)))


def same_run(one: Ended | Outcome, other: Ended | Outcome) -> None:
    """Compare two runs whose memories depend on no rounding."""
    assert other.fresh == one.fresh
    torch.testing.assert_close(other.losses, one.losses, **CLOSE)
    memories = [(ended.folder / "memory.bin").read_bytes() for ended in (one, other)]
    assert memories[0] == memories[1]


@pytest.fixture(scope="module")
def alone(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(data, tmp_path_factory.mktemp("alone") / "run", **UNEVEN)


@pytest.mark.parametrize("count", [2, 4])
def test_memory_order_and_losses_are_those_of_one_process(
    data: RunData, alone: Outcome, tmp_path: Path, count: int
) -> None:
    ended = runs_in_ranks(data, tmp_path / "run", count, **UNEVEN)
    for seen in ended:
        same_run(alone, seen)
        assert seen.losses == ended[0].losses
        assert all(map(torch.equal, seen.weights.values(), ended[0].weights.values()))
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {path.name for path in alone.folder.iterdir()}
    assert f"{count} processes" in (tmp_path / "run" / "log.txt").read_text()


def same_end(whole: Outcome, part: Ended | Outcome) -> None:
    """Compare a run with one that was gone on with after its first experience."""
    steps = len(part.losses)
    assert 0 < steps < len(whole.losses)
    assert part.fresh == whole.fresh[-steps:]
    torch.testing.assert_close(part.losses, whole.losses[-steps:], **CLOSE)
    memories = [(ended.folder / "memory.bin").read_bytes() for ended in (whole, part)]
    assert memories[0] == memories[1]


def test_a_rank_that_is_killed_ends_the_others_and_one_process_goes_on(
    data: RunData, alone: Outcome, tmp_path: Path
) -> None:
    folder = tmp_path / "run"

    def work(ranks: Ranks) -> None:
        config = RunConfig(**{"data_root": data.dataset.root, **OPTIONS, **UNEVEN})

        def kill(info: StepInfo) -> None:
            if ranks.rank == 1 and (info.experience, info.step) == (1, 2):
                os.kill(os.getpid(), signal.SIGKILL)

        Experiment(config, data, folder, ranks=ranks).run(on_step=kill)

    first, second = in_ranks(2, work)
    assert second == DIED
    assert str(first).startswith("torchrun: rank 0 of 2 has lost another one")
    assert read_run(folder).problem.startswith("UserError: torchrun: rank 0")
    same_end(alone, run(data, folder, **UNEVEN))


def test_two_processes_go_on_with_the_run_of_one(
    data: RunData, alone: Outcome, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(data, folder, stop_after=0, **UNEVEN)
    for seen in runs_in_ranks(data, folder, 2, **UNEVEN):
        same_end(alone, seen)


def test_a_memory_that_differs_stops_all_ranks_and_the_earlier_commit_stands(
    data: RunData, tmp_path: Path
) -> None:
    folder = tmp_path / "run"

    def work(ranks: Ranks) -> None:
        config = RunConfig(**{"data_root": data.dataset.root, **OPTIONS, **UNEVEN})
        experiment = Experiment(config, data, folder, ranks=ranks)

        def lose_one(info: Any) -> None:
            if info.experience == 0 and ranks.rank == 1:
                experiment.memory.resize(None, 900)

        experiment.run(on_experience=lose_one)

    for error in in_ranks(2, work):
        assert isinstance(error, UserError)
        assert str(error).startswith("the memory of rank 1 is another than that of rank 0 after")
    assert [path.name for path in folder.glob("memory*.bin")] == ["memory-0.bin"]


SMALL_VIT = "timm:vit_tiny_patch16_224,img_size=32"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"strategy": "avalanche:LwFPlugin"}, "--strategy avalanche:LwFPlugin does not .* use agem,"),
    (
        {"model": "slim_resnet18", "learner": "pixels"},
        "--model slim_resnet18 normalises over all samples of a step",
    ),
    (
        {"model": f"{SMALL_VIT},drop_path_rate=0.1", "learner": "pixels"},
        "drops parts of the network at random",
    ),
]


@pytest.mark.parametrize(("options", "words"), REFUSED, ids=["strategy", "norm", "drop"])
def test_what_cannot_be_divided_is_refused(
    data: RunData, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    config = RunConfig(**{"data_root": data.dataset.root, **OPTIONS, "format": "raw", **options})
    with pytest.raises(UserError, match=words):
        Experiment(config, data, tmp_path / "run", ranks=Ranks(1, 2))


@pytest.fixture(scope="module")
def of_all_strategies(
    data: RunData, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Outcome, list[Ended]]]:
    """The run of a strategy in one process and in two."""
    folder = tmp_path_factory.mktemp("runs")

    def runs(strategy: str) -> tuple[Outcome, list[Ended]]:
        name = strategy.partition(":")[0]
        options = UNEVEN | {"strategy": strategy}
        one = run(data, folder / f"{name}-1", **options)
        return one, runs_in_ranks(data, folder / f"{name}-2", 2, **options)

    return runs


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ABLE)
def test_a_strategy_that_declares_it_has_the_same_weights_with_two_ranks(
    of_all_strategies: Any, strategy: str
) -> None:
    one, two = of_all_strategies(strategy)
    for seen in two:
        assert seen.fresh == one.fresh
        torch.testing.assert_close(seen.losses, one.losses, **CLOSE)
        torch.testing.assert_close(seen.weights, dict(one.network.state_dict()), **CLOSE)
    row = summary_row(two[0].folder)
    assert row["final_accuracy"] == pytest.approx(one.row["final_accuracy"], abs=0.03)
    flops = [name for name in row if name.startswith("flops_")]
    assert {name: row[name] for name in flops} == {name: one.row[name] for name in flops}
