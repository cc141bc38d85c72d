"""Tests of a run: class- and task-incremental accuracy from the same scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers.colour_stream import OPTIONS, colours
from seit_cl.config import RunConfig
from seit_cl.core.ranks import Ranks
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.testing import confusion_counts, confusion_table
from seit_cl.learner.inference import TOP, is_in_top
from seit_cl.learner.learner import Learner
from seit_cl.learner.strategy import Strategy
from seit_cl.results.metrics import METRICS, TOP5, final_top5_accuracy
from seit_cl.results.run_files import read_run
from seit_cl.results.run_writer import accuracy_rows
from seit_cl.results.summary import summary_row

CLASSES = 5
SEEN = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


def experiment(data: RunData, folder: Path, strategy: str, **options: object) -> Experiment:
    options = {"data_root": data.dataset.root, **OPTIONS, "strategy": strategy, **options}
    return Experiment(RunConfig(**options), data, folder)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["naive", "er", "icarl", "lucir", "ncm", "joint"])
def test_the_accuracy_of_a_run_is_that_of_its_scores_one_sample_at_a_time(
    data: RunData, tmp_path: Path, strategy: str
) -> None:
    run = experiment(data, tmp_path / "run", strategy, epochs=1)
    run.run()
    learner = run.learner
    learner.model.eval()
    with torch.inference_mode():
        scores = run.strategy.scores(learner.augment(data.test_tokens), learner).numpy()
    answers = {"final_accuracy": [], "final_task_incremental_accuracy": []}  # type: ignore[var-annotated]
    for sample, label in enumerate(run.tests.labels.tolist()):
        (own,) = [labels for labels in run.stream.classes if label in labels]
        among_own = {other: scores[sample, other] for other in own}
        answers["final_accuracy"].append(int(np.argmax(scores[sample])) == label)
        best = max(among_own, key=among_own.__getitem__)
        answers["final_task_incremental_accuracy"].append(best == label)
    row = summary_row(read_run(tmp_path / "run"))
    for name, correct in answers.items():
        assert row[name] == pytest.approx(np.mean(correct))
    told = 100 * row["final_task_incremental_accuracy"]
    assert f", {told:.1f} % within experiences, " in (tmp_path / "run" / "log.txt").read_text()
    if strategy == "naive":
        assert row["final_task_incremental_accuracy"] > row["final_accuracy"]


def test_an_experience_of_all_classes_has_one_accuracy(data: RunData, tmp_path: Path) -> None:
    run = experiment(data, tmp_path / "run", "er", experiences=1)
    run.run()
    rows = read_run(tmp_path / "run").accuracy
    assert rows.correct.equals(rows.correct_within_experience.rename("correct"))


@pytest.mark.parametrize("scenario", ["blurry:disjoint=0,level=50", "online:size=6"])
def test_experiences_that_share_classes_have_no_task_incremental_accuracy(
    data: RunData, tmp_path: Path, scenario: str
) -> None:
    run = experiment(data, tmp_path / "run", "er", scenario=scenario, epochs=1)
    assert run.stream.competitors is None
    run.run()
    ended = read_run(tmp_path / "run")
    assert "correct_within_experience" not in ended.accuracy
    row = summary_row(ended)
    assert np.isnan(row["final_task_incremental_accuracy"])
    assert np.isnan(row["average_task_incremental_accuracy"])
    assert row["final_accuracy"] >= 0


class Scored(Strategy):
    """Scores that are given in place of inputs."""

    def scores(self, inputs: Tensor, learner: object) -> Tensor:
        return inputs


@given(
    st.lists(
        st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5]), min_size=SEEN, max_size=SEEN),
        min_size=1,
        max_size=20,
    ),
    st.integers(0, SEEN - 1),
)
def test_a_right_answer_among_all_is_right_within_the_experience(
    values: list[list[float]], label: int
) -> None:
    """Also where scores are equal, and where classes have none."""
    experience = torch.tensor([0, 0, 1, 1, 2])
    competitors = experience[:, None] == experience
    labels = torch.full((len(values),), label)
    answers = _learner().answers(torch.tensor(values), labels, competitors, batch=3)
    assert answers.within is not None
    for scores, among_all, among_own in zip(
        values, answers.predicted.tolist(), answers.within.tolist(), strict=True
    ):
        own = [c for c in range(SEEN) if experience[c] == experience[label]]
        assert among_all == int(np.argmax(scores))
        if max(scores[c] for c in own) == -np.inf:
            assert among_own == -1
        else:
            assert among_own == max(own, key=lambda c: (scores[c], -c))
            assert among_own == label or among_all != label


def _learner() -> Learner:
    """A learner with `Scored` and without all that a test does not use."""
    learner = object.__new__(Learner)
    learner.strategy = Scored(None, None)  # type: ignore[arg-type]
    learner.model = torch.nn.Identity()
    learner.augment = torch.nn.Identity()  # type: ignore[assignment]
    learner.device = torch.device("cpu")
    learner.test_precision = "fp32"
    learner.ranks = Ranks()
    learner._recorder = None
    return learner


def test_results_without_the_column_have_all_other_metrics() -> None:
    rows = pd.DataFrame(
        [(0, 0, "a", 1, 2), (1, 0, "a", 1, 2), (1, 1, "b", 2, 2)],
        columns=["after_experience", "experience", "class", "correct", "total"],
    )
    values = {name: metric(rows) for name, metric in METRICS.items()}
    missing = {name for name, value in values.items() if np.isnan(value)}
    assert missing == {
        "final_task_incremental_accuracy",
        "average_task_incremental_accuracy",
        "final_top5_accuracy",
    }
    assert values["final_accuracy"] == 0.75


@given(
    st.lists(
        st.lists(
            st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]), min_size=TOP + 2, max_size=TOP + 2
        ),
        min_size=1,
        max_size=20,
    ),
    st.integers(0, TOP + 3),
)
def test_the_top_five_are_the_first_five_in_a_stable_order_of_the_scores(
    values: list[list[float]], label: int
) -> None:
    labels = torch.full((len(values),), label)
    found = is_in_top(torch.tensor(values), labels)
    for scores, in_top in zip(values, found.tolist(), strict=True):
        order = sorted(range(len(scores)), key=lambda c: -scores[c])
        is_scored = label < len(scores) and scores[label] > -np.inf
        assert in_top == (is_scored and label in order[:TOP])


def test_top5_accuracy_is_of_more_than_ten_classes() -> None:
    def rows(classes: int) -> pd.DataFrame:
        names = [f"class {i}" for i in range(classes)]
        return pd.DataFrame(
            accuracy_rows(
                0, 0, dict.fromkeys(names, 1), dict.fromkeys(names, 4), None, {names[0]: 4}
            )
        )

    assert np.isnan(final_top5_accuracy(rows(10)))
    assert final_top5_accuracy(rows(11)) == 1 / 11
    assert np.isnan(final_top5_accuracy(rows(11).drop(columns=TOP5)))


def test_answers_of_classes_with_one_name_are_counted_together() -> None:
    counts = confusion_counts(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 2, 2]), 3)
    assert counts.tolist() == [[0, 0, 1], [0, 1, 1], [1, 2, 1], [2, 2, 1]]
    table = confusion_table(counts, ["crane", "crane", "fox"])
    assert table.values.tolist() == [["crane", "crane", 2], ["crane", "fox", 1], ["fox", "fox", 1]]
