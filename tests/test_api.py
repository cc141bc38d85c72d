"""Runs from Python: the files and numbers of the command line, resumed and refused alike."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from seit_cl import (
    RunConfig,
    Strategy,
    UserError,
    build_report,
    read_runs,
    run,
    run_experiment,
    run_grid,
    spec_of,
)
from seit_cl.data.base import Dataset
from seit_cl.data.class_incremental import partition_classes
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import ScenarioRecipe

OPTIONS = ("--memory-mb", "0.003", "--experiences", "2", "--epochs", "1", "--seed", "3")


@dataclass(frozen=True)
class Options:
    scale: float = 1.0


class Scaled(Strategy):
    """The cross-entropy of the fresh samples, scaled."""

    Options = Options

    def loss(self, fresh: Any, replay: Any, learner: Any) -> Any:
        return self.options.scale * self.cross_entropy(fresh).mean()


@pytest.fixture
def config(fractals: Path) -> RunConfig:
    return RunConfig(
        data_root=fractals, memory_mb=0.003, experiences=2, epochs=1, seed=3, device="cpu"
    )


def test_a_run_has_the_files_and_numbers_of_the_command_line(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_experiment(config, tmp_path / "python")
    words = ["run", *OPTIONS, "--device", "cpu", "--data-root", str(config.data_root)]
    monkeypatch.setattr(sys, "argv", [*words, "--out", str(tmp_path / "command")])
    run.main()
    other = tmp_path / "command" / result.path.name
    assert sorted(path.name for path in other.iterdir()) == sorted(
        path.name for path in result.path.iterdir()
    )
    for name in ("accuracy.csv", "memory.csv", "memory.bin", "config.yaml"):
        assert (result.path / name).read_bytes() == (other / name).read_bytes()


def test_results_are_values_and_a_frame(config: RunConfig, tmp_path: Path) -> None:
    results = run_grid(config, tmp_path, format=["tokens", "jpeg"], strategy=["er", "naive"])
    assert [result.summary["strategy"] for result in results] == ["er", "er", "naive"]
    first = results[0]
    assert first.status == "finished"
    assert first.accuracies[-1] == first.final_accuracy
    assert len(first.memory()) == first.facts["exemplars"]
    assert results[2].memory_file is None
    with pytest.raises(UserError, match=r"no memory\.bin"):
        results[2].memory()
    table = read_runs(tmp_path).frame()
    assert set(table["final_accuracy"]) == {result.final_accuracy for result in results}
    assert build_report(str(tmp_path)).is_file()


def test_a_finished_run_is_read_and_not_repeated(config: RunConfig, tmp_path: Path) -> None:
    first = run_experiment(config, tmp_path)
    written = (first.path / "facts.json").stat().st_mtime_ns
    again = run_experiment(config, tmp_path)
    assert again.final_accuracy == first.final_accuracy
    assert (again.path / "facts.json").stat().st_mtime_ns == written
    with pytest.raises(UserError, match="was made with epochs 1, not 2"):
        run_experiment(replace(config, epochs=2), tmp_path)


def test_scripts_are_quiet(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_experiment(config, tmp_path)
    assert capsys.readouterr().out == ""


def test_a_strategy_class_is_named_in_the_results(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, __name__, _this_module())
    spec = spec_of(Scaled, scale=0.5)
    assert spec == f"{__name__}.Scaled:scale=0.5"
    result = run_experiment(config, tmp_path, strategy=spec)
    assert result.run.config["strategy"] == spec
    assert run_experiment(config, tmp_path, strategy=Scaled).path != result.path


def _this_module() -> Any:
    """This file as a module: pytest's importlib mode does not register it under its name."""
    module = type(sys)(__name__)
    module.__dict__.update(globals())
    return module


def test_classes_that_no_run_finds_again_are_refused(config: RunConfig, tmp_path: Path) -> None:
    class Inner(Strategy):
        """Defined in a function."""

    with pytest.raises(UserError, match="at the top level"):
        run_experiment(config, tmp_path, strategy=Inner)
    with pytest.raises(UserError, match=r"nowhere\.Strategy.*can import"):
        run_experiment(config, tmp_path, strategy="nowhere.Strategy")
    with pytest.raises(UserError, match="is no plugin"):
        run_experiment(config, tmp_path, strategy="pathlib.Path")
    with pytest.raises(UserError, match="unknown option 'scales'"):
        spec_of(Scaled, scales=1)


class HalfTheImages(ScenarioRecipe):
    """Every second image of each experience."""

    source = "nobody's"

    def cut(self, dataset: Dataset, settings: Any) -> Scenario:
        whole = partition_classes(self.name, dataset, settings)
        return replace(whole, train=tuple(ids[::2] for ids in whole.train))


def test_a_scenario_may_be_a_class(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, __name__, _this_module())
    result = run_experiment(config, tmp_path, scenario=HalfTheImages)
    assert result.facts["scenario"] == f"{__name__}.HalfTheImages"
    assert result.facts["phases"]["remember"]["images"] == 5 * 8


def test_other_dimensions_and_missing_folders_are_refused(
    config: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="epochs: not a dimension"):
        run_grid(config, tmp_path, epochs=[1, 2])
    with pytest.raises(UserError, match="no such folder"):
        read_runs(tmp_path / "nothing")
