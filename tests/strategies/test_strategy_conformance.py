"""Rules for every strategy, built in or plugged in, with tokens and JPEGs; er with every format."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from helpers import format_specs
from helpers.colour_stream import TRAIN, Outcome, colours, run
from helpers.hoarding import undeclared_bytes
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.specs import NoOptions
from seit_cl.experiment.build import build_strategy
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.strategy import Strategy, StrategyContext

AVALANCHE = [
    "avalanche:SynapticIntelligencePlugin,si_lambda=0.01",
    "avalanche:LwFPlugin",
    "avalanche:EWCPlugin,ewc_lambda=1",
    "avalanche:ReplayPlugin",
]
SMALL = {"ranpac": "ranpac:dimensions=60"}  # its own number of dimensions takes seconds
STRATEGIES = [SMALL.get(name, name) for name in sorted(plugins.names("strategy"))]
STRATEGIES.remove("avalanche")
STRATEGIES += AVALANCHE
TAKES_NO_STEPS = ("simplecil",)
BUILT = {name: build_strategy(RunConfig(strategy=name)) for name in STRATEGIES}
REPLAYS = [name for name in STRATEGIES if not BUILT[name].exemplar_free]
SLOW = pytest.mark.slow
Outcomes = Callable[[str, str], Outcome]


def formats(strategy: str) -> list[str]:
    """The formats that a strategy is run with.

    er shows what formats do; the other strategies depend only on what a format decodes to.
    """
    if strategy not in REPLAYS:
        return ["tokens"]
    return format_specs.SPECS if strategy == "er" else ["tokens", "jpeg"]


def every_pair(slow_jpeg: bool) -> Any:
    """Every strategy with each of its formats; JPEGs of strategies other than er may be slow."""
    pairs = []
    for strategy in STRATEGIES:
        for spec in formats(strategy):
            is_slow = slow_jpeg and spec != "tokens" and strategy != "er"
            pairs.append(pytest.param(strategy, spec, marks=SLOW if is_slow else ()))
    return pytest.mark.parametrize(("strategy", "spec"), pairs, ids=format_specs.name_of)


def slow_but_er(strategies: Sequence[str]) -> Any:
    """Strategies, all but er marked slow.

    For rules that resuming shows too, or that hardly depend on the strategy.
    """
    marked = [pytest.param(name, marks=() if name == "er" else SLOW) for name in strategies]
    return pytest.mark.parametrize("strategy", marked)


every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
every_replay = pytest.mark.parametrize("strategy", REPLAYS)
every_strategy_slowly = slow_but_er(STRATEGIES)
every_replay_slowly = slow_but_er(REPLAYS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="module")
def outcome(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """The run of a strategy with a format, made once."""
    outcomes: dict[tuple[str, str], Outcome] = {}

    def outcome_of(strategy: str, spec: str) -> Outcome:
        if (strategy, spec) not in outcomes:
            folder = tmp_path_factory.mktemp("runs") / "run"
            outcomes[strategy, spec] = run(data, folder, strategy=strategy, format=spec)
        return outcomes[strategy, spec]

    return outcome_of


@every_pair(slow_jpeg=False)
def test_a_run_ends_with_finite_losses_and_all_its_rows(
    outcome: Outcomes, strategy: str, spec: str
) -> None:
    ended = outcome(strategy, spec)
    assert ended.run.status == "finished"
    assert len(ended.losses) == ended.row["steps"]
    assert (ended.row["steps"] > 0) == (strategy not in TAKES_NO_STEPS)
    assert all(map(math.isfinite, ended.losses))
    last = ended.run.accuracy[ended.run.accuracy.after_experience == 1]
    assert sorted(last["class"]) == ["colour0", "colour1", "colour2", "colour3"]
    assert last.total.tolist() == [10] * 4


@every_strategy
def test_who_is_told_the_experience_answers_all_that_others_do(
    outcome: Outcomes, strategy: str
) -> None:
    rows = outcome(strategy, "tokens").run.accuracy
    assert (rows.correct <= rows.correct_within_experience).all()
    assert (rows.correct_within_experience <= rows.total).all()


@every_pair(slow_jpeg=False)
def test_the_memory_file_is_within_its_budget_and_nothing_else_remains(
    outcome: Outcomes, strategy: str, spec: str
) -> None:
    ended = outcome(strategy, spec)
    files = {path.name: path.stat().st_size for path in ended.folder.iterdir()}
    assert not [name for name in files if name.startswith(("memory-", "checkpoint", "."))]
    assert ("memory.bin" in files) == (strategy in REPLAYS)
    if strategy in REPLAYS:
        assert files["memory.bin"] == ended.row["used_bytes"] <= ended.row["memory_bytes"] == 10_000
        assert ended.row["exemplars"] > 0
        assert ended.run.memory is not None
        assert (ended.run.memory.experience == 1).any()


@every_strategy
def test_all_state_other_than_exemplars_is_declared(outcome: Outcomes, strategy: str) -> None:
    ended = outcome(strategy, "tokens")
    assert undeclared_bytes(ended.strategy) == 0
    assert ended.row["strategy_bytes"] == ended.strategy.strategy_bytes
    has_state = bool(ended.strategy.state_attributes) and "ReplayPlugin" not in strategy
    assert (ended.strategy.strategy_bytes > 0) == has_state


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
    outcome: Outcomes, data: RunData, tmp_path: Path, strategy: str
) -> None:
    losses, row, accuracy = outcome(strategy, "tokens").numbers
    torch.manual_seed(7)  # whatever the global generator holds
    state = torch.random.get_rng_state()
    again = run(data, tmp_path / "run", strategy=strategy, format="tokens").numbers
    assert again[0] == losses
    assert again[1] == row
    pd.testing.assert_frame_equal(again[2], accuracy)
    assert torch.equal(torch.random.get_rng_state(), state)


@every_pair(slow_jpeg=True)
def test_an_interrupted_run_ends_with_the_numbers_of_one_that_was_not(
    outcome: Outcomes, data: RunData, tmp_path: Path, strategy: str, spec: str
) -> None:
    whole = outcome(strategy, spec)
    options: dict[str, Any] = {"stop_at": (1, 2)}
    if strategy == "joint":  # which has one experience
        options = {"stop_at": (0, 2)}
    if strategy in ("ncm", SMALL["ranpac"], *TAKES_NO_STEPS):  # without steps in the second
        options = {"stop_after": 0}
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "run", strategy=strategy, format=spec, **options)
    resumed = run(data, tmp_path / "run", strategy=strategy, format=spec)
    assert resumed.losses == whole.losses[len(whole.losses) - len(resumed.losses) :]
    assert resumed.numbers[1] == whole.numbers[1]
    files = ["accuracy.csv"]
    if strategy in REPLAYS:
        files += ["memory.csv", "memory.bin"]
    for name in files:
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@every_replay
def test_formats_change_no_fresh_sample_and_no_step(outcome: Outcomes, strategy: str) -> None:
    first, *others = [outcome(strategy, spec) for spec in formats(strategy)]
    assert all(len(ended.fresh) == len(first.fresh) for ended in others)
    # Training on exemplars alone has no fresh samples; a plugin's own loader mixes both and does
    # not tell which they are.
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
    assert ended.run.status == "finished"
    assert all(map(math.isfinite, ended.losses))
    assert ended.row["exemplars"] == ended.row["memory_bytes"] == 0
    assert not (ended.folder / "memory.bin").exists()


@every_strategy
def test_experiences_of_one_class_and_last_batches_of_one_sample_are_a_stream(
    data: RunData, tmp_path: Path, strategy: str
) -> None:
    ended = run(data, tmp_path / "run", strategy=strategy, experiences=4, batch=TRAIN - 1)
    assert ended.run.status == "finished"
    assert all(map(math.isfinite, ended.losses))
    assert len(ended.run.accuracy[ended.run.accuracy.after_experience == 3]) == 4
    assert ended.row["steps"] == len(ended.losses)


@every_replay_slowly
def test_a_memory_of_one_exemplar_is_enough(
    outcome: Outcomes, data: RunData, tmp_path: Path, strategy: str
) -> None:
    larger = outcome(strategy, "tokens")
    assert larger.run.memory is not None
    rows = larger.run.memory.query("experience == 1 and kind == 'bytes'").set_index("name")
    fixed_bytes = rows.value["header"] + rows.value["side_info"]
    exemplar_bytes = (larger.row["used_bytes"] - fixed_bytes) / larger.row["exemplars"]
    budget = float(fixed_bytes + exemplar_bytes)
    ended = run(data, tmp_path / "run", strategy=strategy, memory_mb=budget / 1e6)
    assert ended.row["exemplars"] == 1
    assert ended.row["used_bytes"] == ended.row["memory_bytes"] == budget


@every_strategy_slowly
def test_the_pixel_learner_runs_it_too(data: RunData, tmp_path: Path, strategy: str) -> None:
    ended = run(data, tmp_path / "run", strategy=strategy, learner="pixels", format="raw")
    assert ended.run.status == "finished"
    assert all(map(math.isfinite, ended.losses))


@every_strategy_slowly
def test_it_learns(data: RunData, tmp_path: Path, strategy: str) -> None:
    """Forgetting all but the last two of four colours gives 0.5, and guessing 0.25."""
    options = {"epochs": 3, "learning_rate": 1e-3, "cutmix_p": 0.0}
    ended = run(data, tmp_path / "run", strategy=strategy, **options)
    first = ended.run.accuracy.query("after_experience == after_experience.min()")
    assert first.correct.sum() / first.total.sum() > 0.8
    assert ended.row["final_accuracy"] >= 0.5


def test_replay_learns_and_remembers_what_naive_training_forgets(
    data: RunData, tmp_path: Path
) -> None:
    options = {"epochs": 3, "learning_rate": 1e-3}
    replayed = run(data, tmp_path / "er", strategy="er", **options)
    naive = run(data, tmp_path / "naive", strategy="naive", **options)
    assert replayed.row["final_accuracy"] > 0.8
    assert replayed.row["final_accuracy"] > naive.row["final_accuracy"] + 0.1


def test_the_results_name_the_policy_that_was_used(outcome: Outcomes) -> None:
    assert outcome("er", "tokens").run.get("policy") == "class-balanced"
    assert outcome("icarl", "tokens").run.get("policy") == "herding"


def test_every_strategy_has_a_paper_and_a_description() -> None:
    for name, strategy in BUILT.items():
        assert strategy.paper and strategy.__doc__, name
