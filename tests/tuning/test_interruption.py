"""An interrupted tuning writes what is finished, and the same command completes it."""

import sys
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from helpers.colour_stream import OPTIONS, write_colours
from seit_cl import tune
from seit_cl.core.plugins import spec_of
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.strategy import Strategy


class Interrupted(Strategy):
    """Training on each experience alone, interrupted in every run but the defaults'."""

    exemplar_free = True
    armed: ClassVar[bool] = False

    def before_training_exp(self, learner: LearnerView) -> None:
        """Interrupt a run at a rate that is not the default."""
        if self.armed and learner.optimisation.learning_rate != 5e-4:
            raise KeyboardInterrupt


def test_an_interrupted_tuning_writes_what_is_finished_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    folders = ["--data-root", str(write_colours(tmp_path / "data")), "--out", str(tmp_path / "out")]
    words = ["--strategy", spec_of(Interrupted), "--trials", "2"]
    monkeypatch.setattr(sys, "argv", ["tune", *folders, *given, *words])
    monkeypatch.setattr(Interrupted, "armed", True)
    with pytest.raises(SystemExit) as stop:
        tune.main()
    assert stop.value.code == 130
    assert "this resumes: python -m seit_cl.tune --data-root" in capsys.readouterr().out
    (table,) = (tmp_path / "out" / "tuned").glob("*.csv")
    assert pd.read_csv(table)["final_accuracy"].isna().tolist() == [False, True]
    monkeypatch.setattr(Interrupted, "armed", False)
    tune.main()
    assert pd.read_csv(table)["final_accuracy"].isna().tolist() == [False, False]
