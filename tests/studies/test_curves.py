"""Curves over epochs: one row an epoch, the last one a run's accuracy, and no run made twice."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from helpers.colour_stream import write_colours
from seit_cl.config import RunConfig
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.results.metrics import final_accuracy
from studies import curves


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("curves"))


@pytest.mark.parametrize("learner", ["tokens", "pixels"])
def test_the_last_point_is_the_accuracy_of_the_same_run_without_curves(
    learner: str, root: Path, tmp_path: Path
) -> None:
    options = curves.Options(
        root, tmp_path / "x.csv", learner=(learner,), epochs=(3,), device="cpu"
    )
    (config,) = curves.configs(options)
    data = RunData(config)
    accuracy = curves.curve(config, data)
    run = Experiment(config, data, tmp_path / "run")
    run.run()
    assert len(accuracy) == 3
    assert accuracy[-1] == pytest.approx(final_accuracy(pd.DataFrame(run.record.accuracy)))


def test_every_combination_is_a_curve_with_crops_of_its_own_learner(
    root: Path, tmp_path: Path
) -> None:
    options = curves.Options(
        root,
        tmp_path / "x.csv",
        epochs=(1, 2),
        token_crop=(0.6, 1.0),
        pixel_crop=(0.3,),
        seed=(0, 1),
    )
    configs = curves.configs(options)
    tokens = [c for c in configs if c.learner == "tokens"]
    assert len(tokens) == 8
    assert len(configs) == 12
    pixels = [config for config in configs if config.learner == "pixels"]
    assert {config.token_rrc for config in tokens} == {0.6, 1.0}
    assert {config.pixel_rrc for config in pixels} == {0.3}
    for config in configs:
        assert isinstance(config, RunConfig)
        assert config.strategy == "joint"


def test_curves_that_the_file_holds_are_not_run_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.csv"
    typed = [
        "curves",
        "--data-root",
        str(root),
        "--out",
        str(out),
        "--epochs",
        "2",
        "--device",
        "cpu",
    ]
    for seeds, lines in ((["0"], 2), (["0", "1"], 2), (["0", "1"], 0)):  # and a table of two rows
        monkeypatch.setattr(
            sys, "argv", [*typed, "--seed", *seeds, "--figure", str(tmp_path / "x.png")]
        )
        curves.main()
        assert len(capsys.readouterr().out.splitlines()) == lines + 4
    rows = curves.read_rows(out)
    assert [len(ax.lines) for ax in curves.draw(rows).axes] == [4]
    assert (tmp_path / "x.png").stat().st_size > 1000
    assert len(rows) == 8
    assert set(rows["learner"]) == {"tokens", "pixels"}
    assert rows.groupby(["learner", "seed"])["epoch"].apply(list).tolist() == [[1, 2]] * 4


def test_differences_are_of_means_over_the_seeds_that_both_have() -> None:
    same = {"tokenizer": "", "model": "micro", "crop": 0.5, "cutmix_p": 0, "learning_rate": 1e-3}
    same |= {"dataset": "d", "epochs": 3}
    rows = []
    for learner, seed, accuracies in (
        ("tokens", 0, (0.3, 0.2, 0.6)),
        ("tokens", 1, (0.5, 0.4, 0.8)),
        ("tokens", 2, (0, 0)),
        ("pixels", 0, (0.1, 0.2, 0.3)),
        ("pixels", 1, (0.1, 0.2, 0.3)),
    ):
        for epoch, accuracy in enumerate(accuracies, 1):
            point = {"learner": learner, "seed": seed, "epoch": epoch, "accuracy": accuracy}
            rows.append(same | point)
    lines = curves.differences(pd.DataFrame(rows)).splitlines()[2:]
    assert [line.split(" | ")[1:] for line in lines] == [
        ["1", "2", "40.0", "10.0", "+30.0", "+30.0 |"],
        ["2", "2", "30.0", "20.0", "+10.0", "+10.0 |"],
        ["3", "2", "70.0", "30.0", "+40.0", "+10.0 |"],
    ]
    apart = [row for row in rows if (row["learner"], row["seed"]) in (("tokens", 0), ("pixels", 1))]
    without_common_seed = curves.differences(pd.DataFrame(apart))
    assert len(without_common_seed.splitlines()) == 2  # the header alone
    other = {**rows[0], "tokenizer": "another"}
    of_two_tokenizers = curves.differences(pd.DataFrame([*rows, other]))
    assert len(of_two_tokenizers.splitlines()) == 2
