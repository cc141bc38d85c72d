"""The memory is offered every sample once an experience: after it, during it, or before it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.colour_stream import OPTIONS, TRAIN, colours, run
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.plugins import spec_of
from seit_cl.experiment.build import build_strategy
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.record import RunRecord
from seit_cl.experiment.remembering import choose_fill
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import is_finished, run_folder, run_id
from seit_cl.learner.strategy import Strategy
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.results.run_writer import start_run

SAMPLES = 4 * TRAIN
FILLS = ("after", "during", "before")
# Inputs that do not depend on random numbers, and weights that do not move.
PLAIN: dict[str, Any] = {
    "token_rrc": 1.0,
    "synonym_p": 0.0,
    "swap_p": 0.0,
    "noise_p": 0.0,
    "flip_p": 0.0,
    "learning_rate": 1e-12,
}
every_fill = pytest.mark.parametrize("fill", FILLS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture
def offers(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The ids of every offer to a memory."""
    offered: list[list[int]] = []
    offer = ByteBudgetBuffer.offer

    def noted(memory: ByteBudgetBuffer, samples: Any, extras: Any = None) -> None:
        offered.append(samples.ids.tolist())
        offer(memory, samples, extras)

    monkeypatch.setattr(ByteBudgetBuffer, "offer", noted)
    return offered


def fill_of(**options: Any) -> str:
    config = RunConfig(**options)
    return choose_fill(config, build_strategy(config))


class StopsEarly(Strategy):
    """Two steps in every experience."""

    fill = "during"

    def after_backward(self, fresh: Any, replay: Any, learner: Any) -> None:
        if learner.clock.train_epoch_iterations == 1:
            learner.stop_training()


@every_fill
def test_every_sample_is_offered_once_an_experience(
    fill: Any, data: RunData, offers: list[list[int]], tmp_path: Path
) -> None:
    ended = run(data, tmp_path / "run", fill=fill, epochs=2)
    assert sorted(index for ids in offers for index in ids) == list(range(SAMPLES))
    assert ended.row["fill"] == ended.run.config["fill"] == fill


def test_samples_that_no_step_has_shown_are_offered_in_the_end(
    data: RunData, offers: list[list[int]], tmp_path: Path
) -> None:
    run(data, tmp_path / "run", strategy=spec_of(StopsEarly))
    assert [len(ids) for ids in offers] == [8, 8, 8, 8, 8, 8]
    assert sorted(index for ids in offers for index in ids) == list(range(SAMPLES))


def test_samples_are_offered_in_the_steps_that_first_show_them(
    data: RunData, offers: list[list[int]], tmp_path: Path
) -> None:
    ended = run(data, tmp_path / "run", fill="during", epochs=2)
    first_epochs = [*ended.fresh[:3], *ended.fresh[6:9]]
    assert offers == first_epochs


@pytest.mark.parametrize(("fill", "without"), [("after", 3), ("during", 1), ("before", 0)])
def test_exemplars_are_replayed_within_their_experience(
    fill: Any, without: int, data: RunData, tmp_path: Path
) -> None:
    forwarded: list[int] = []
    experiment = Experiment(
        RunConfig(data_root=data.dataset.root, **OPTIONS, fill=fill), data, tmp_path / "run"
    )
    experiment.run(on_step=lambda info: forwarded.append(info.samples))
    first = [forwarded[0], forwarded[1] - forwarded[0], forwarded[2] - forwarded[1]]
    assert first == [8] * without + [16] * (3 - without)


@every_fill
def test_the_file_is_within_the_budget_after_every_step(
    fill: Any, data: RunData, tmp_path: Path
) -> None:
    options = {**OPTIONS, "memory_mb": 0.0012, "fill": fill, "strategy": "derpp"}
    experiment = Experiment(
        RunConfig(data_root=data.dataset.root, **options), data, tmp_path / "run"
    )

    def check(info: StepInfo) -> None:
        assert experiment.memory is not None
        experiment.memory.save(tmp_path / "now.bin")
        assert (tmp_path / "now.bin").stat().st_size == experiment.memory.used_bytes <= 1200

    experiment.run(on_step=check)
    assert experiment.memory is not None
    assert experiment.memory.full


@pytest.mark.parametrize("fill", ["during", "before"])
def test_a_run_killed_within_an_experience_ends_with_the_numbers_of_one_never_killed(
    fill: Any, data: RunData, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"strategy": "derpp", "fill": fill, "memory_mb": 0.0015}
    whole = run(data, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "killed", stop_at=(1, 2), **options)
    resumed = run(data, tmp_path / "killed", **options)
    assert resumed.losses == whole.losses[3:]
    for name in ("accuracy.csv", "memory.csv", "memory.bin"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_stored_logits_are_those_of_the_step_that_first_shows_a_sample(
    data: RunData, tmp_path: Path
) -> None:
    options = {**OPTIONS, **PLAIN, "strategy": "derpp", "fill": "during", "experiences": 1}
    config = RunConfig(data_root=data.dataset.root, **options)
    experiment = Experiment(config, data, tmp_path / "run")
    tokens = data.tokens(torch.arange(SAMPLES))
    experiment.learner.classes_seen = 4
    expected = experiment.learner.raw_logits(tokens)
    experiment.run()
    assert experiment.memory is not None
    stored = experiment.memory.by_ids(torch.arange(SAMPLES))
    for own_tokens, logits in zip(stored.inputs, stored.extras["logits"], strict=True):
        sample = (tokens == own_tokens).flatten(1).all(1).nonzero()[0, 0]
        torch.testing.assert_close(logits.float(), expected[sample], atol=2e-3, rtol=2e-3)


def test_the_default_is_the_time_of_the_paper() -> None:
    defaults = {name: fill_of(strategy=name) for name in ("er", "er_ace", "derpp", "mir", "agem")}
    assert set(defaults.values()) == {"during", "after"}
    assert [name for name, fill in defaults.items() if fill == "after"] == ["agem"]
    assert fill_of(strategy="er", policy="herding") == "after"
    assert fill_of(strategy="er", fill="before") == "before"


@pytest.mark.parametrize("fill", ["during", "before"])
@pytest.mark.parametrize("policy", sorted(plugins.names("policy")))
def test_a_policy_that_ranks_an_experience_is_filled_after_it(policy: str, fill: Any) -> None:
    options = {"policy": policy, "fill": fill}
    if not plugins.load("policy", policy).best_first:
        assert fill_of(**options) == fill
        return
    with pytest.raises(UserError, match=f"--fill {fill}: --policy .* whole experience"):
        fill_of(**options)


def test_a_plugin_that_draws_its_own_batches_is_not_filled_during_them() -> None:
    replay = "avalanche:ReplayPlugin"
    assert fill_of(strategy=replay) == "after"
    assert fill_of(strategy=replay, fill="before") == "before"
    with pytest.raises(UserError, match="--fill during: --strategy avalanche:ReplayPlugin"):
        fill_of(strategy=replay, fill="during")


@every_fill
def test_runs_that_it_cannot_change_have_one_name(fill: Any) -> None:
    for options in ({"strategy": "gdumb"}, {"strategy": "naive"}, {"memory_mb": 0.0}):
        config = RunConfig(fill=fill, **options)
        assert fill_of(fill=fill, **options) == "after"
        assert run_id(config) == run_id(RunConfig(**options))


def test_a_name_has_the_time_where_it_is_not_the_strategys_own() -> None:
    names = [run_id(RunConfig(strategy="derpp", fill=fill)) for fill in ("default", *FILLS)]
    assert names == [
        "derpp_tokens_tokens_1MB_seed0",
        "derpp_tokens_tokens_1MB_fill-after_seed0",
        "derpp_tokens_tokens_1MB_seed0",
        "derpp_tokens_tokens_1MB_fill-before_seed0",
    ]


def test_earlier_results_go_on_as_filled_after_and_are_not_taken_for_others(
    tmp_path: Path,
) -> None:
    earlier = RunConfig().plain()
    earlier.pop("fill")
    folder = tmp_path / run_id(RunConfig())
    start_run(folder, earlier, {})
    assert run_folder(tmp_path, RunConfig(fill="after")) == folder
    assert not is_finished(RunConfig(fill="after"), folder)
    with pytest.raises(UserError, match="choose --fill after, or another --out"):
        is_finished(RunConfig(), run_folder(tmp_path, RunConfig()))
    start_run(folder, {**earlier, "fill": "during"}, {})
    assert run_folder(tmp_path, RunConfig(fill="after")) != folder


def test_a_fitted_format_is_fitted_to_the_whole_first_experience(
    data: RunData, tmp_path: Path
) -> None:
    auto: dict[str, Any] = {"format": "jpeg:quality=auto", "memory_mb": 0.01}
    during = run(data, tmp_path / "during", fill="during", **auto).run.metadata["format_chose"]
    after = run(data, tmp_path / "after", fill="after", **auto).run.metadata["format_chose"]
    assert during == after
    assert during.startswith("quality=")


def test_time_of_a_phase_within_another_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("seit_cl.experiment.record.time.monotonic", lambda: now)
    record = RunRecord()
    with record.timed("train"):
        wait(2)
        for _ in range(2):
            with record.timed("remember"):
                wait(3)
        wait(1)
    assert (record.phases["train"].seconds, record.phases["remember"].seconds) == (3, 6)
