"""losses.csv and confusion.csv: of every epoch and of the last test, also of a resumed run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.colour_stream import colours, run
from seit_cl.experiment.run_data import RunData

EPOCHS = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "er"},
        {"strategy": "naive", "batch": 7},
        {"strategy": "er", "scenario": "online:size=6", "epochs": 1},
        pytest.param({"strategy": "avalanche:LwFPlugin"}, marks=pytest.mark.slow),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_the_loss_of_an_epoch_is_the_mean_over_its_steps(
    data: RunData, tmp_path: Path, options: dict[str, object]
) -> None:
    ended = run(data, tmp_path / "run", **{"epochs": EPOCHS, **options})
    rows = ended.run.losses
    assert rows["steps"].sum() == len(ended.losses)
    epochs = np.repeat(np.arange(len(rows)), rows["steps"])
    means = pd.Series(ended.losses).groupby(epochs).mean()
    np.testing.assert_allclose(rows["loss"], means, rtol=1e-6)
    if options["strategy"] == "er" and "scenario" not in options:
        assert rows["experience"].tolist() == [0] * EPOCHS + [1] * EPOCHS
        assert rows["epoch"].tolist() == [*range(EPOCHS)] * 2


def test_a_budget_of_flops_ends_the_last_epoch_early(data: RunData, tmp_path: Path) -> None:
    whole = run(data, tmp_path / "whole", epochs=2)
    budget = 0.8 * whole.row["flops_training"]
    ended = run(data, tmp_path / "run", epochs=2, flops_budget=budget)
    assert ended.run.losses["steps"].sum() == len(ended.losses) < len(whole.losses)


def test_a_strategy_without_training_steps_has_no_losses(data: RunData, tmp_path: Path) -> None:
    ended = run(data, tmp_path / "run", strategy="simplecil", train="head")
    assert not ended.losses
    assert ended.run.losses.empty
    assert not (ended.folder / "losses.csv").exists()
    assert not ended.run.confusion.empty


def test_an_interrupted_run_has_the_files_of_one_that_was_not(
    data: RunData, tmp_path: Path
) -> None:
    whole = run(data, tmp_path / "whole", epochs=EPOCHS)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "resumed", stop_at=(1, 2), epochs=EPOCHS)
    resumed = run(data, tmp_path / "resumed", epochs=EPOCHS)
    for name in ("losses.csv", "confusion.csv", "accuracy.csv"):
        assert (whole.folder / name).read_bytes() == (resumed.folder / name).read_bytes()


def test_the_confusion_counts_every_answer_of_the_last_test(data: RunData, tmp_path: Path) -> None:
    ended = run(data, tmp_path / "run")
    rows = ended.run.confusion
    last = ended.run.accuracy[ended.run.accuracy["after_experience"] == 1].set_index("class")
    assert rows.groupby("class")["count"].sum().to_dict() == last["total"].to_dict()
    right = rows[rows["class"] == rows["predicted"]].set_index("class")["count"]
    assert right.reindex(last.index, fill_value=0).to_dict() == last["correct"].to_dict()
    assert (rows["count"] > 0).all()
