"""Recorded training steps, on a pretended device: a tape that keeps the rules of a CUDA graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.colour_stream import Outcome, colours, run
from helpers.operation_tape import TapeRecorder
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.experiment import experiment
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.learner import recording
from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.strategy import Strategy

# Two experiences of 24 fresh samples: 3 steps an epoch, 12 steps in all.
OPTIONS: dict[str, Any] = {"epochs": 4, "memory_mb": 0.003}
WORTHWHILE = 8  # steps
# With settings that take steps, and little time to solve for.
SPECS = {"simplecil": "simplecil:adapt=true", "ranpac": "ranpac:dimensions=60"}
STRATEGIES = []
for _name in plugins.names("strategy"):
    if plugins.load("strategy", _name).capturable:
        STRATEGIES.append(SPECS.get(_name, _name))
SLOWER_TO_RECORD = 10**9  # steps; no experience has as many

RunColours = Callable[..., Outcome]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> TapeRecorder:
    """The recorder of all runs of a test, whose strategies are capturable."""
    tapes = TapeRecorder()

    def build(config: RunConfig, strategy: Strategy) -> TapeRecorder | None:
        return tapes if strategy.capturable else None

    monkeypatch.setattr(experiment, "build_recorder", build)
    monkeypatch.setattr(recording, "WORTHWHILE", WORTHWHILE)
    return tapes


@pytest.fixture
def run_both(
    data: RunData, recorder: TapeRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Outcome, Outcome]]:
    """Run with recorded steps, then with the same steps one by one."""

    def both(**options: Any) -> tuple[Outcome, Outcome]:
        recorded = run(data, tmp_path / "recorded", **{**OPTIONS, **options})
        monkeypatch.setattr(recording, "WORTHWHILE", SLOWER_TO_RECORD)
        return recorded, run(data, tmp_path / "plain", **{**OPTIONS, **options})

    return both


def assert_equal_numbers(recorded: Outcome, plain: Outcome) -> None:
    assert recorded.losses == plain.losses
    assert recorded.fresh == plain.fresh
    assert recorded.run.accuracy.equals(plain.run.accuracy)
    names = [path.name for path in recorded.folder.glob("memory.bin")]
    for name in names:
        assert (recorded.folder / name).read_bytes() == (plain.folder / name).read_bytes()


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_recorded_step_of_every_capturable_strategy_gives_the_numbers_of_a_plain_one(
    name: str, recorder: TapeRecorder, run_both: Callable[..., tuple[Outcome, Outcome]]
) -> None:
    recorded, plain = run_both(strategy=name)
    assert 1 <= len(recorder.tapes) <= 2
    assert_equal_numbers(recorded, plain)


@pytest.mark.parametrize(
    "options",
    [
        {"learner": "pixels", "format": "jpeg"},
        {"format": "jpeg"},
        {"cutmix_p": 1.0, "cutmix_alpha": 0.5},
        {"cutmix_p": 0.0},
        {"head": "fixed"},
        {"head": "per-task"},
        {"memory_mb": 0.0},
        {"token_rrc": 1.0, "noise_p": 0.0, "swap_p": 0.0},
    ],
)
def test_recorded_steps_give_the_numbers_of_plain_ones_with_every_kind_of_data(
    options: dict[str, Any],
    recorder: TapeRecorder,
    run_both: Callable[..., tuple[Outcome, Outcome]],
) -> None:
    recorded, plain = run_both(**options)
    assert len(recorder.tapes) == 2
    assert_equal_numbers(recorded, plain)


def test_the_last_smaller_batch_of_an_epoch_runs_as_it_is(
    recorder: TapeRecorder, run_both: Callable[..., tuple[Outcome, Outcome]]
) -> None:
    recorded, plain = run_both(batch=10)  # 10, 10 and 4 fresh samples a step
    assert len(recorder.tapes) == 2
    assert_equal_numbers(recorded, plain)


def test_a_step_is_recorded_after_its_first_ones_and_only_where_it_pays(
    data: RunData, recorder: TapeRecorder, tmp_path: Path
) -> None:
    seen: dict[tuple[int, int], int] = {}

    def count(info: StepInfo) -> None:
        seen[info.experience, info.total_steps] = len(recorder.tapes)

    options = {"batch": 8, "experiences": 2, "fill": "after", **OPTIONS}
    config = RunConfig(**{"data_root": data.dataset.root, **options})
    Experiment(config, data, tmp_path / "long").run(on_step=count)
    assert [seen[0, step] for step in (1, 2, 3, 4, 12)] == [0, 0, 0, 1, 1]
    # The first replayed batch comes before the memory has a copy on the device.
    assert [seen[1, step] for step in (13, 16, 17, 24)] == [1, 1, 2, 2]
    assert "CUDA graph" in (tmp_path / "long" / "log.txt").read_text()
    run(data, tmp_path / "short", epochs=2)  # 6 steps
    assert len(recorder.tapes) == 2


def test_steps_that_change_the_memory_run_as_they_are_and_the_log_says_so(
    data: RunData, recorder: TapeRecorder, tmp_path: Path
) -> None:
    tapes: list[int] = []
    options = {"batch": 8, "experiences": 2, "fill": "during", **OPTIONS}
    config = RunConfig(**{"data_root": data.dataset.root, **options})
    run_of_config = Experiment(config, data, tmp_path / "run")
    run_of_config.run(on_step=lambda info: tapes.append(len(recorder.tapes)))
    # Three steps change the memory, one comes before its copy, and three are those before any tape.
    assert tapes == [0] * 7 + [1] * 5 + [1] * 7 + [2] * 5
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("--fill during: the memory changes in the first epoch") == 1


def test_a_run_killed_between_recorded_steps_resumes_to_the_same_end(
    data: RunData, recorder: TapeRecorder, tmp_path: Path
) -> None:
    whole = run(data, tmp_path / "whole", **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "cut", stop_at=(1, 2), **OPTIONS)
    resumed = run(data, tmp_path / "cut", **OPTIONS)
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    assert resumed.run.accuracy.equals(whole.run.accuracy)


def test_other_strategies_are_not_recorded(
    data: RunData, recorder: TapeRecorder, tmp_path: Path
) -> None:
    run(data, tmp_path / "mir", strategy="mir", **OPTIONS)
    assert recorder.tapes == []


def test_a_strategy_that_reads_a_value_back_is_refused_with_advice(
    data: RunData, recorder: TapeRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naive = plugins.load("strategy", "naive")

    def loss(self: Any, fresh: ForwardedBatch, replay: Any, learner: Any) -> torch.Tensor:
        losses = self.cross_entropy(fresh)
        return losses.mean() if float(losses.detach().max()) > 0 else losses.sum()

    monkeypatch.setattr(naive, "loss", loss)
    with pytest.raises(UserError, match=r"cannot be recorded .*waits for.*use --no-graph"):
        run(data, tmp_path / "reads", strategy="naive", **OPTIONS)


@pytest.mark.parametrize("name", ["er", "icarl", "lucir"])
def test_recorded_tests_predict_what_plain_ones_do(
    name: str, data: RunData, recorder: TapeRecorder, tmp_path: Path
) -> None:
    config = RunConfig(
        data_root=data.dataset.root, strategy=name, batch=8, experiences=2, memory_mb=0.003
    )
    trained = Experiment(config, data, tmp_path / name)
    trained.run()
    tapes = len(recorder.tapes)
    raw = data.test_tokens.repeat(3, 1, 1, 1)[:-1]
    recorded = trained.learner.predict(raw, batch=8)
    assert len(recorder.tapes) == tapes + 1
    plain = [trained.learner.predict(part, batch=8) for part in raw.split(8)]
    assert len(recorder.tapes) == tapes + 1
    assert torch.equal(recorded, torch.cat(plain))
    assert len(recorded.unique()) > 1
    labels = trained.tests.labels.repeat(3)[:-1].flip(0)  # of which many are wrong
    competitors = trained.stream.competitors
    assert competitors is not None
    answers = trained.learner.answers(raw, labels, competitors, batch=8)
    assert answers.within is not None
    assert len(recorder.tapes) == tapes + 2
    assert torch.equal(answers.predicted, recorded)
    plain_within = []
    plain_in_top = []
    for part, expected in zip(raw.split(8), labels.split(8), strict=True):
        plain_answers = trained.learner.answers(part, expected, competitors)
        plain_within.append(plain_answers.within)
        plain_in_top.append(plain_answers.in_top)
    assert torch.equal(answers.within, torch.cat(plain_within))
    assert torch.equal(answers.in_top, torch.cat(plain_in_top))
    assert not torch.equal(answers.predicted, answers.within)


class TestTheTape:
    def test_records_without_doing_the_work(self) -> None:
        weights = torch.zeros(3)
        gain = torch.ones(())
        tape = TapeRecorder().record(lambda: weights.add_(gain).sum())
        assert weights.tolist() == [0, 0, 0]
        gain.fill_(2.0)
        tape.replay()
        tape.replay()
        assert weights.tolist() == [4, 4, 4]
        assert tape.output == 12

    @pytest.mark.parametrize(
        "work",
        [
            lambda x: x * x.sum().item(),
            lambda x: x[x > 0],
            lambda x: x if x.sum() > 0 else -x,
            lambda x: x + torch.tensor(1.0),
            lambda x: x.nonzero(),
        ],
    )
    def test_refuses_work_that_waits_for_the_device(self, work: Callable[..., Any]) -> None:
        with pytest.raises(RuntimeError, match=r"waits for|copies from"):
            TapeRecorder().record(lambda: work(torch.ones(3)))


@pytest.mark.parametrize("optimizer", ["sgd", "sgd:momentum=0.9,nesterov=true"])
def test_recorded_steps_of_fused_sgd_give_the_numbers_of_plain_ones(
    optimizer: str, recorder: TapeRecorder, run_both: Callable[..., tuple[Outcome, Outcome]]
) -> None:
    recorded, plain = run_both(optimizer=optimizer, schedule="step:epochs=2", learning_rate=0.05)
    assert_equal_numbers(recorded, plain)
    assert recorder.tapes


def test_steps_of_an_optimiser_that_is_not_fused_run_as_they_are_and_the_log_says_so(
    data: RunData, recorder: TapeRecorder, tmp_path: Path
) -> None:
    outcome = run(data, tmp_path / "lamb", optimizer="lamb", **OPTIONS)
    assert not recorder.tapes
    log = (outcome.folder / "log.txt").read_text()
    assert log.count("--optimizer lamb: training steps do not run as CUDA graphs") == 1
