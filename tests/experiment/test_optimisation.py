"""Options of training: those that do not fit the run are refused before it starts."""

from pathlib import Path

import pytest

from helpers.colour_stream import colours, run
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("optimisation") / "colours")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adamv"}, "unknown optimizer 'adamv'"),
        ({"optimizer": "sgd:momentun=0.9"}, "unknown option 'momentun'"),
        ({"schedule": "cosines"}, "unknown schedule 'cosines'"),
        ({"schedule": "step:epochs=30", "epochs": 2}, "must be epochs within --epochs 2"),
        (
            {"scenario": "online", "epochs": 1, "schedule": "step:epochs=1"},
            "--schedule step:epochs=1: --scenario online has no boundaries.*use --schedule const",
        ),
    ],
)
def test_bad_options_are_refused_when_a_run_is_built(
    options: dict[str, object], message: str, data: RunData, tmp_path: Path
) -> None:
    config = RunConfig(data_root=data.dataset.root, experiences=2, device="cpu", **options)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message):
        Experiment(config, data, tmp_path / "run")


def test_a_run_without_boundaries_takes_a_constant_schedule(data: RunData, tmp_path: Path) -> None:
    options = {"scenario": "online:size=10", "schedule": "constant", "optimizer": "lamb"}
    assert run(data, tmp_path / "run", **options).losses
