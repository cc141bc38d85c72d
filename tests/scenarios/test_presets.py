"""A preset and a scenario's own numbers fill the options that are not given, and no others."""

from pathlib import Path

import pytest
import yaml

from seit_cl.command_line import parse
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.scenario_recipe import ScenarioRecipe, build_recipe
from seit_cl.grid import expand, is_finished
from seit_cl.results import run_writer


def grid(*arguments: str) -> list[RunConfig]:
    return expand(parse(list(arguments)))


PRESET = build_recipe("imagenet100-u").preset


def test_a_preset_fills_every_option_that_is_not_given() -> None:
    runs = grid("--scenario", "imagenet100-u", "--preset")
    assert {run.memory_mb for run in runs} == set(PRESET["memory_mb"])
    assert {(run.epochs, run.model, run.batch) for run in runs} == {
        (PRESET["epochs"], "small", 128)
    }


def test_without_the_option_no_preset_is_applied() -> None:
    (run,) = grid("--scenario", "imagenet100-u")
    assert (run.memory_mb, run.epochs, run.model) == (1.0, 10, "micro")


def test_the_command_line_and_a_file_override_the_preset_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("epochs: 3\nscenario: imagenet100-u\n")
    for words in (["--preset", "--memory-mb", "1"], ["--memory-mb", "1", "--preset"]):
        (run,) = grid("--config", str(path), *words)
        assert (run.epochs, run.memory_mb, run.batch) == (3, 1.0, PRESET["batch"])


def test_a_default_on_the_command_line_overrides_the_preset() -> None:
    assert {
        run.epochs for run in grid("--scenario", "imagenet100-u", "--preset", "--epochs", "10")
    } == {10}


def test_a_scenario_without_a_preset_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(build_recipe("class-incremental")), "preset", ScenarioRecipe.preset)
    with pytest.raises(UserError, match="recommends nothing"):
        grid("--preset")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (5, 0)),
        (("--experiences", "0"), (5, 0)),
        (("--experiences", "7"), (7, 0)),
        (("--scenario", "imagenet100-u"), (10, 0)),
        (("--scenario", "imagenet100-u", "--experiences", "5"), (5, 0)),
        (("--scenario", "imagenet100-u", "--experiences", "6", "--first-classes", "50"), (6, 50)),
        (("--scenario", "imagenet100_u:base=50,phases=10"), (11, 50)),
    ],
)
def test_the_number_of_experiences_is_the_scenarios_unless_given(
    arguments: tuple[str, ...], expected: tuple[int, int]
) -> None:
    (run,) = grid(*arguments)
    settings = run.resolved_stream()
    assert (settings.experiences, settings.first_classes) == expected
    assert (run.plain()["experiences"], run.plain()["first_classes"]) == expected


@pytest.mark.parametrize("scenario", ["class-incremental", "imagenet100-u:base=50,phases=5"])
def test_the_configuration_that_a_run_writes_describes_the_same_run(
    scenario: str, tmp_path: Path
) -> None:
    (run,) = grid("--scenario", scenario)
    run_writer.start_run(tmp_path / "run", run.plain(), {})
    (read,) = grid("--config", str(tmp_path / "run/config.yaml"))
    assert read.plain() == run.plain()


def test_older_configurations_without_holdout_options_are_still_read(tmp_path: Path) -> None:
    (run,) = grid("--strategy", "naive")
    older = {
        key: value
        for key, value in run.plain().items()
        if key not in ("val_fraction", "split_seed", "fill")
    }
    assert older["experiences"] == 5
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(older))
    assert (
        is_finished(run, tmp_path) is False
    )  # it has no results, and is not refused as another run's
