"""What every registered strategy must do with every registered format, built-in or plugged in."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from colour_stream import TRAIN, Outcome, colours, run

from seit_cl import plugins
from seit_cl.rundata import RunData

STRATEGIES = sorted(plugins.names("strategy"))
FORMATS = sorted(plugins.names("format"))
REPLAYS = [name for name in STRATEGIES if not plugins.load("strategy", name).exemplar_free]
CELLS = [(name, spec) for name in STRATEGIES for spec in (FORMATS if name in REPLAYS else ["tokens"])]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
every_replay = pytest.mark.parametrize("strategy", REPLAYS)
every_cell = pytest.mark.parametrize(("strategy", "spec"), CELLS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="module")
def outcome(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Outcome]:
    """The run of a strategy with a format, made once."""
    done: dict[tuple[str, str], Outcome] = {}

    def of(strategy: str, spec: str) -> Outcome:
        if (strategy, spec) not in done:
            folder = tmp_path_factory.mktemp("runs") / "run"
            done[strategy, spec] = run(data, folder, strategy=strategy, format=spec)
        return done[strategy, spec]

    return of


@every_cell
def test_a_run_ends_with_finite_losses_and_all_its_rows(
    outcome: Callable[[str, str], Outcome], strategy: str, spec: str
) -> None:
    ended = outcome(strategy, spec)
    assert ended.run.status == "finished"
    assert len(ended.losses) == ended.row["steps"] > 0 and all(map(math.isfinite, ended.losses))
    last = ended.run.accuracy[ended.run.accuracy.step == 1]
    assert sorted(last["class"]) == [f"colour{i}" for i in range(4)] and last.total.tolist() == [10] * 4


@every_cell
def test_the_memory_file_is_within_its_budget_and_nothing_else_remains(
    outcome: Callable[[str, str], Outcome], strategy: str, spec: str
) -> None:
    ended = outcome(strategy, spec)
    files = {path.name: path.stat().st_size for path in ended.folder.iterdir()}
    assert not [name for name in files if name.startswith(("memory-", "checkpoint", "."))]
    assert ("memory.bin" in files) == (strategy in REPLAYS)
    if strategy in REPLAYS:
        assert files["memory.bin"] == ended.row["used_bytes"] <= ended.row["memory_bytes"] == 10_000
        assert ended.row["exemplars"] > 0
        assert ended.run.memory is not None and (ended.run.memory.step == 1).any()


@every_cell
def test_one_seed_gives_one_set_of_numbers(
    outcome: Callable[[str, str], Outcome], data: RunData, tmp_path: Path, strategy: str, spec: str
) -> None:
    losses, row, accuracy = outcome(strategy, spec).numbers
    again = run(data, tmp_path / "run", strategy=strategy, format=spec).numbers
    assert again[0] == losses and again[1] == row
    pd.testing.assert_frame_equal(again[2], accuracy)


@every_cell
def test_an_interrupted_run_ends_with_the_numbers_of_one_that_was_not(
    outcome: Callable[[str, str], Outcome], data: RunData, tmp_path: Path, strategy: str, spec: str
) -> None:
    whole, options = outcome(strategy, spec), {"strategy": strategy, "format": spec}
    last = int(whole.run.accuracy.step.max()) if plugins.load("strategy", strategy).data != "joint" else 0
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "run", stop_at=(last, 2), **options)
    resumed = run(data, tmp_path / "run", **options)
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    assert resumed.numbers[1] == whole.numbers[1]
    for name in ("accuracy.csv", *(["memory.csv", "memory.bin"] if strategy in REPLAYS else [])):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@every_replay
def test_formats_move_no_fresh_sample_and_no_step(outcome: Callable[[str, str], Outcome], strategy: str) -> None:
    first, *others = [outcome(strategy, spec) for spec in FORMATS]
    assert all(ended.fresh == first.fresh for ended in others)


@every_strategy
def test_without_memory_a_run_ends_too(data: RunData, tmp_path: Path, strategy: str) -> None:
    ended = run(data, tmp_path / "run", strategy=strategy, memory_mb=0.0)
    assert ended.run.status == "finished" and all(map(math.isfinite, ended.losses))
    assert ended.row["exemplars"] == ended.row["memory_bytes"] == 0
    assert not (ended.folder / "memory.bin").exists()


@every_strategy
def test_one_class_an_experience_is_a_stream(data: RunData, tmp_path: Path, strategy: str) -> None:
    ended = run(data, tmp_path / "run", strategy=strategy, experiences=4)
    assert ended.run.status == "finished" and all(map(math.isfinite, ended.losses))
    assert len(ended.run.accuracy[ended.run.accuracy.step == 3]) == 4


@every_strategy
def test_a_last_batch_of_one_sample_is_a_batch(data: RunData, tmp_path: Path, strategy: str) -> None:
    ended = run(data, tmp_path / "run", strategy=strategy, experiences=4, batch=TRAIN - 1)
    assert all(map(math.isfinite, ended.losses))
    assert ended.row["steps"] == len(ended.losses)


@every_replay
def test_a_memory_of_one_exemplar_does(
    outcome: Callable[[str, str], Outcome], data: RunData, tmp_path: Path, strategy: str
) -> None:
    roomy = outcome(strategy, "tokens")
    assert roomy.run.memory is not None
    bytes_of = roomy.run.memory.query("step == 1 and kind == 'bytes'").set_index("name").value
    fixed = bytes_of["header"] + bytes_of["side_info"]
    budget = float(fixed + (roomy.row["used_bytes"] - fixed) / roomy.row["exemplars"])
    ended = run(data, tmp_path / "run", strategy=strategy, memory_mb=budget / 1e6)
    assert ended.row["exemplars"] == 1 and ended.row["used_bytes"] == ended.row["memory_bytes"] == budget


@every_strategy
def test_the_pixel_learner_runs_it_too(data: RunData, tmp_path: Path, strategy: str) -> None:
    ended = run(data, tmp_path / "run", strategy=strategy, learner="pixels", format="raw")
    assert ended.run.status == "finished" and all(map(math.isfinite, ended.losses))


def test_replay_learns_and_remembers_what_naive_training_forgets(data: RunData, tmp_path: Path) -> None:
    replayed, naive = (run(data, tmp_path / name, strategy=name, epochs=3, learning_rate=1e-3) for name in ("er", "naive"))
    assert replayed.row["final_accuracy"] > 0.8
    assert replayed.row["final_accuracy"] > naive.row["final_accuracy"] + 0.1
