"""What every registered strategy must do, with every registered format (er) or with tokens and JPEGs, built-in or plugged in."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from helpers.colour_stream import TRAIN, Outcome, colours, run
from helpers.hoarding import undeclared_bytes
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.specs import NoOptions
from seit_cl.experiment.build import build_strategy
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.strategy import Strategy, StrategyContext

PLUGINS = [
    "SynapticIntelligencePlugin,si_lambda=0.01",
    "LwFPlugin",
    "EWCPlugin,ewc_lambda=1",
    "ReplayPlugin",
]
AVALANCHE = [f"avalanche:{plugin}" for plugin in PLUGINS]
STRATEGIES = [name for name in sorted(plugins.names("strategy")) if name != "avalanche"] + AVALANCHE
FORMATS = sorted(plugins.names("format"))
BUILT = {name: build_strategy(RunConfig(strategy=name)) for name in STRATEGIES}
REPLAYS = [name for name in STRATEGIES if not BUILT[name].exemplar_free]
SLOW = pytest.mark.slow


def formats(strategy: str) -> list[str]:
    """er shows what formats do; what the others do differs by what a format decodes to."""
    return (
        ["tokens"]
        if strategy not in REPLAYS
        else FORMATS
        if strategy == "er"
        else ["tokens", "jpeg"]
    )


def cells(slow_jpeg: bool) -> Any:
    """(strategy, format); JPEG cells of others than er are slow where that is asked for."""
    pairs = [(name, spec) for name in STRATEGIES for spec in formats(name)]
    slow = [slow_jpeg and spec != "tokens" and name != "er" for name, spec in pairs]
    marked = [
        pytest.param(*pair, marks=SLOW if late else ())
        for pair, late in zip(pairs, slow, strict=True)
    ]
    return pytest.mark.parametrize(("strategy", "spec"), marked)


every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
every_replay = pytest.mark.parametrize("strategy", REPLAYS)
# What resuming shows too, or what hardly depends on the strategy: of all in the whole suite, of er in the quick one.
every_strategy_slowly, every_replay_slowly = (
    pytest.mark.parametrize(
        "strategy", [name if name == "er" else pytest.param(name, marks=SLOW) for name in names]
    )
    for names in (STRATEGIES, REPLAYS)
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="module")
def outcome(
    data: RunData, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Outcome]:
    """The run of a strategy with a format, made once."""
    done: dict[tuple[str, str], Outcome] = {}

    def of(strategy: str, spec: str) -> Outcome:
        if (strategy, spec) not in done:
            folder = tmp_path_factory.mktemp("runs") / "run"
            done[strategy, spec] = run(data, folder, strategy=strategy, format=spec)
        return done[strategy, spec]

    return of


@cells(slow_jpeg=False)
def test_a_run_ends_with_finite_losses_and_all_its_rows(
    outcome: Callable[[str, str], Outcome], strategy: str, spec: str
) -> None:
    ended = outcome(strategy, spec)
    assert ended.run.status == "finished"
    assert len(ended.losses) == ended.row["steps"] > 0 and all(map(math.isfinite, ended.losses))
    last = ended.run.accuracy[ended.run.accuracy.after_experience == 1]
    assert (
        sorted(last["class"]) == [f"colour{i}" for i in range(4)]
        and last.total.tolist() == [10] * 4
    )


@cells(slow_jpeg=False)
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
        assert ended.run.memory is not None and (ended.run.memory.experience == 1).any()


@every_strategy
def test_everything_kept_beside_the_exemplars_is_declared(
    outcome: Callable[[str, str], Outcome], strategy: str
) -> None:
    ended = outcome(strategy, "tokens")
    assert undeclared_bytes(ended.strategy) == 0
    assert ended.row["strategy_bytes"] == ended.strategy.strategy_bytes
    assert (ended.strategy.strategy_bytes > 0) == (
        bool(ended.strategy.state_attributes) and "ReplayPlugin" not in strategy
    )


def test_tensors_hidden_in_a_strategy_are_found() -> None:
    class Hoarder(Strategy):
        state_attributes = ("mean",)

    hoarder = Hoarder(NoOptions(), StrategyContext())
    hoarder.mean = torch.zeros(4)  # type: ignore[attr-defined]
    assert undeclared_bytes(hoarder) == 0
    hidden = torch.zeros(3, 32)
    for place in (
        hidden,
        [{"images": hidden}],
        SimpleNamespace(old=hidden),
        torch.nn.Linear(31, 3),
        lambda: hidden,
    ):
        hoarder.secret = place  # type: ignore[attr-defined]
        assert undeclared_bytes(hoarder) == 3 * 32 * 4


@every_strategy_slowly
def test_one_seed_gives_one_set_of_numbers(
    outcome: Callable[[str, str], Outcome], data: RunData, tmp_path: Path, strategy: str
) -> None:
    losses, row, accuracy = outcome(strategy, "tokens").numbers
    torch.manual_seed(7)  # whatever the global generator holds
    state = torch.random.get_rng_state()
    again = run(data, tmp_path / "run", strategy=strategy, format="tokens").numbers
    assert again[0] == losses and again[1] == row
    pd.testing.assert_frame_equal(again[2], accuracy)
    assert torch.equal(torch.random.get_rng_state(), state)


@cells(slow_jpeg=True)
def test_an_interrupted_run_ends_with_the_numbers_of_one_that_was_not(
    outcome: Callable[[str, str], Outcome], data: RunData, tmp_path: Path, strategy: str, spec: str
) -> None:
    whole, options = outcome(strategy, spec), {"strategy": strategy, "format": spec}
    steps = {"joint": (0, 2), "ncm": (0, 2)}.get(
        strategy, (1, 2)
    )  # ncm takes no steps after its first experience
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "run", stop_at=steps, **options)
    resumed = run(data, tmp_path / "run", **options)
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    assert resumed.numbers[1] == whole.numbers[1]
    for name in ("accuracy.csv", *(["memory.csv", "memory.bin"] if strategy in REPLAYS else [])):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@every_replay
def test_formats_move_no_fresh_sample_and_no_step(
    outcome: Callable[[str, str], Outcome], strategy: str
) -> None:
    first, *others = [outcome(strategy, spec) for spec in formats(strategy)]
    assert all(len(ended.fresh) == len(first.fresh) for ended in others)
    # No fresh samples where exemplars alone are trained on; a plugin's own loader mixes both and does not say which they are.
    if not BUILT[strategy].trains_on_memory and not BUILT[strategy].avalanche_plugins:
        assert all(ended.fresh == first.fresh for ended in others)


@every_replay
def test_without_memory_a_run_ends_too_or_says_that_it_needs_one(
    data: RunData, tmp_path: Path, strategy: str
) -> None:
    if BUILT[strategy].trains_on_memory:
        with pytest.raises(
            UserError, match=rf"--strategy {strategy} learns from exemplars alone.*--memory-mb"
        ):
            run(data, tmp_path / "run", strategy=strategy, memory_mb=0.0)
        return
    ended = run(data, tmp_path / "run", strategy=strategy, memory_mb=0.0)
    assert ended.run.status == "finished" and all(map(math.isfinite, ended.losses))
    assert ended.row["exemplars"] == ended.row["memory_bytes"] == 0
    assert not (ended.folder / "memory.bin").exists()


@every_strategy
def test_experiences_of_one_class_and_last_batches_of_one_sample_are_a_stream(
    data: RunData, tmp_path: Path, strategy: str
) -> None:
    ended = run(data, tmp_path / "run", strategy=strategy, experiences=4, batch=TRAIN - 1)
    assert ended.run.status == "finished" and all(map(math.isfinite, ended.losses))
    assert len(ended.run.accuracy[ended.run.accuracy.after_experience == 3]) == 4
    assert ended.row["steps"] == len(ended.losses)


@every_replay_slowly
def test_a_memory_of_one_exemplar_does(
    outcome: Callable[[str, str], Outcome], data: RunData, tmp_path: Path, strategy: str
) -> None:
    roomy = outcome(strategy, "tokens")
    assert roomy.run.memory is not None
    bytes_of = roomy.run.memory.query("step == 1 and kind == 'bytes'").set_index("name").value
    fixed = bytes_of["header"] + bytes_of["side_info"]
    budget = float(fixed + (roomy.row["used_bytes"] - fixed) / roomy.row["exemplars"])
    ended = run(data, tmp_path / "run", strategy=strategy, memory_mb=budget / 1e6)
    assert (
        ended.row["exemplars"] == 1
        and ended.row["used_bytes"] == ended.row["memory_bytes"] == budget
    )


@every_strategy_slowly
def test_the_pixel_learner_runs_it_too(data: RunData, tmp_path: Path, strategy: str) -> None:
    ended = run(data, tmp_path / "run", strategy=strategy, learner="pixels", format="raw")
    assert ended.run.status == "finished" and all(map(math.isfinite, ended.losses))


@every_strategy_slowly
def test_it_learns(data: RunData, tmp_path: Path, strategy: str) -> None:
    """Two colours are 0.5 of four: what forgetting everything leaves, and twice what guessing gives."""
    ended = run(
        data, tmp_path / "run", strategy=strategy, epochs=3, learning_rate=1e-3, cutmix_p=0.0
    )
    first = ended.run.accuracy.query("step == step.min()")
    assert first.correct.sum() / first.total.sum() > 0.8
    assert ended.row["final_accuracy"] >= 0.5


def test_replay_learns_and_remembers_what_naive_training_forgets(
    data: RunData, tmp_path: Path
) -> None:
    replayed, naive = (
        run(data, tmp_path / name, strategy=name, epochs=3, learning_rate=1e-3)
        for name in ("er", "naive")
    )
    assert replayed.row["final_accuracy"] > 0.8
    assert replayed.row["final_accuracy"] > naive.row["final_accuracy"] + 0.1


def test_the_results_name_the_policy_that_was_used(outcome: Callable[[str, str], Outcome]) -> None:
    assert [outcome(name, "tokens").run.get("policy") for name in ("er", "icarl")] == [
        "class-balanced",
        "herding",
    ]


def test_every_strategy_says_where_it_comes_from_and_what_it_is() -> None:
    for name, strategy in BUILT.items():
        assert strategy.paper and strategy.__doc__, name
