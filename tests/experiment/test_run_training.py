"""Training on an experience: what its steps report, what is noted, and how many there are."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.colour_stream import OPTIONS, colours
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.compute import training_flops
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData

BUDGET = 8e9  # FLOPs of a whole run: some steps of each experience


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


class Training:
    """The training of a run that has begun, and what it has reported.

    Args:
        data: of the run.
        folder: of the run.
        options: of RunConfig.
    """

    def __init__(self, data: RunData, folder: Path, **options: Any) -> None:
        config = RunConfig(**{"data_root": data.dataset.root, **OPTIONS, **options})
        folder.mkdir()
        self.run = Experiment(config, data, folder)
        self.run.strategy.start(self.run.learner)
        self.notes: list[str] = []
        self.steps: list[StepInfo] = []
        self.training = self.run.training
        self.training.note = self.notes.append
        self.experiences = self.run.training_stream.benchmark(data.dataset).train_stream

    def train(self, experience: int, ago: float = 0.0) -> list[StepInfo]:
        """Train on an experience that began `ago` seconds ago; its steps."""
        before = len(self.steps)
        self.training.train(
            experience,
            self.experiences[experience],
            self.run.memory,
            self.steps.append,
            None,
            time.monotonic() - ago,
        )
        return self.steps[before:]

    def fill(self, experience: int) -> None:
        """Offer an experience to the memory."""
        assert self.run.memory is not None
        self.run.memory.offer(self.run._samples(self.run.training_stream.train[experience]))


# ---------------------------------------------------------------- steps
def test_a_step_says_where_in_the_run_it_is(data: RunData, tmp_path: Path) -> None:
    made = Training(data, tmp_path / "run", epochs=2)
    for experience in range(2):
        steps = made.train(experience)
        assert [(info.epoch, info.step) for info in steps] == [
            (epoch, step) for epoch in range(2) for step in (1, 2, 3)
        ]
        assert {(info.experience, info.experiences) for info in steps} == {(experience, 2)}
        assert {(info.epochs, info.steps) for info in steps} == {(2, 3)}
    assert [info.total_steps for info in made.steps] == list(range(1, 13))


def test_samples_of_a_step_are_those_of_its_experience_so_far_exemplars_included(
    data: RunData, tmp_path: Path
) -> None:
    made = Training(data, tmp_path / "run", batch=10, replay_batch=4)
    assert [info.samples for info in made.train(0)] == [10, 20, 24]
    made.fill(0)
    assert [info.samples for info in made.train(1)] == [14, 28, 36]
    assert made.run.record.phases["train"].images == 24 + 36


def test_the_seconds_of_a_step_are_since_the_experience_began(
    data: RunData, tmp_path: Path
) -> None:
    made = Training(data, tmp_path / "run")
    began = time.monotonic()
    seconds = [info.seconds for info in made.train(0, ago=1000.0)]
    assert 1000 < seconds[0] < seconds[1] < seconds[2]
    assert seconds[2] <= 1000 + time.monotonic() - began
    assert 0 < made.run.record.phases["train"].seconds < 1000


@pytest.mark.parametrize("sizes", [(2, 2), (1, 3), (3, 1)])
def test_the_learner_knows_the_classes_seen_before_and_with_an_experience(
    data: RunData, tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    made = Training(data, tmp_path / "run", experiences=0, experience_classes=sizes)
    seen = [0, *itertools.accumulate(sizes)]
    for experience in range(2):
        made.train(experience)
        learner = made.run.learner
        expected = tuple(seen[experience : experience + 2])
        assert (learner.classes_seen_before, learner.classes_seen) == expected


def test_the_losses_that_are_noted_are_means_over_an_epoch(data: RunData, tmp_path: Path) -> None:
    made = Training(data, tmp_path / "run", epochs=2)
    for experience in range(2):
        made.train(experience)
    losses = torch.stack([info.loss for info in made.steps]).double().view(4, 3).mean(1)
    rows = made.run.record.losses
    assert rows is not None
    assert rows[:, :3].tolist() == [[0, 0, 3], [0, 1, 3], [1, 0, 3], [1, 1, 3]]
    torch.testing.assert_close(rows[:, 3], losses, rtol=1e-6, atol=0)


# ---------------------------------------------------------------- weights
DIVERGING = {"optimizer": "sgd", "learning_rate": 1e30, "clip": 0.0, "epochs": 2}


def test_weights_that_are_no_longer_finite_end_the_run_with_advice(
    data: RunData, tmp_path: Path
) -> None:
    made = Training(data, tmp_path / "er_colours", **DIVERGING)
    words = r"^er_colours: training diverged in experience 1; lower --learning-rate 1e\+30$"
    with pytest.raises(UserError, match=words):
        made.train(0)
    assert made.run.record.losses is not None
    assert len(made.run.record.losses) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_weight_is_enough(data: RunData, tmp_path: Path, value: float) -> None:
    made = Training(data, tmp_path / "run", learning_rate=1e-9)
    made.train(0)
    # Nothing trains it, as a layer that no sample reaches.
    lone = torch.nn.Parameter(torch.tensor([1.0, value]))
    made.run.learner.model.register_parameter("lone", lone)
    with pytest.raises(UserError, match="diverged in experience 2"):
        made.train(1)


# ---------------------------------------------------------------- a budget of FLOPs
def planned(note: str) -> tuple[int, int, float]:
    """Experience, from 1, number of steps and FLOPs of one, as the log says."""
    pattern = r"--flops-budget 8e\+09: experience (\d): (\d+) steps of (\S+) FLOPs"
    match = re.fullmatch(pattern, note)
    assert match is not None, note
    return int(match[1]), int(match[2]), float(match[3])


@pytest.mark.parametrize("fill", ["after", "during"])
def test_an_experience_takes_the_steps_that_the_log_foresees(
    data: RunData, tmp_path: Path, fill: str
) -> None:
    made = Training(data, tmp_path / "run", fill=fill, flops_budget=BUDGET)
    budget = made.training.budget
    assert budget is not None
    for experience in range(2):
        spent = training_flops(made.run.record.flops)
        steps = len(made.train(experience))
        number, told, each = planned(made.notes[experience])
        assert (number, told) == (experience + 1, steps)
        left = budget.left(experience, spent)
        assert steps == left // each > 1
        assert training_flops(made.run.record.flops) - spent <= left
        made.fill(experience)


def test_a_memory_that_is_filled_during_the_steps_is_foreseen(
    data: RunData, tmp_path: Path
) -> None:
    told = {}
    for fill in ("after", "during"):
        made = Training(data, tmp_path / fill, fill=fill, flops_budget=BUDGET)
        made.train(0)
        told[fill] = planned(made.notes[0])
    assert told["during"][2] == pytest.approx(2 * told["after"][2], rel=0.05)  # 8 exemplars more
    assert told["during"][1] < told["after"][1]
    without = Training(data, tmp_path / "none", memory_mb=0.0, flops_budget=BUDGET)
    without.train(0)
    assert planned(without.notes[0]) == told["after"]


def test_hooks_are_foreseen_to_cost_what_they_did_in_proportion_to_the_samples(
    data: RunData, tmp_path: Path
) -> None:
    sizes = {"experiences": 0, "experience_classes": (1, 3), "batch": 12}
    steps = {}
    for hooks in (0, 1):
        made = Training(data, tmp_path / f"{hooks}", **sizes, flops_budget=BUDGET, epochs=1)
        # Whatever an earlier run noted, the first experience foresees none.
        made.run.record.last_hooks = 10**15
        made.train(0)
        each = planned(made.notes[0])[2]
        made.run.record.last_hooks = round(hooks * each)
        steps[hooks] = len(made.train(1))
    # Three times the samples: three steps fewer for hooks that cost one.
    assert steps[1] == steps[0] - 3 > 0


def test_a_stream_without_boundaries_has_no_line_for_each_of_its_experiences(
    data: RunData, tmp_path: Path
) -> None:
    made = Training(data, tmp_path / "run", scenario="online:size=12", flops_budget=BUDGET)
    assert len(made.train(0)) > 0
    assert made.notes == []


def test_a_budget_that_allows_no_step_is_refused_before_any(data: RunData, tmp_path: Path) -> None:
    made = Training(data, tmp_path / "run", flops_budget=BUDGET)
    budget = made.training.budget
    assert budget is not None
    made.training.budget = replace(budget, flops=1000.0)
    with pytest.raises(UserError, match="experience 1 of 2 has 500 FLOPs, and a step takes"):
        made.train(0)
    assert made.steps == made.notes == []
