"""Experiences as people cut them: classes per experience, and explicit lists of classes."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from helpers.named_classes import dataset_of_classes
from seit_cl.command_line import parse
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.class_incremental import class_order
from seit_cl.data.class_lists import class_list_word, read_class_lists
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.grid import expand, is_finished, run_folder, run_grid
from seit_cl.reporting.build import build_report

NAMES = ["ant", "bee", "cat", "dog", "eel", "fox"]
PARTITIONING = ["class-incremental", "long-tailed:ratio=1", "online:size=4"]  # 4 images a class


def config(*words: str) -> RunConfig:
    (only,) = expand(parse(words))
    return only


def cut(*words: str) -> Scenario:
    run = config(*words)
    settings = run.resolved_stream(len(NAMES))
    return build_recipe(run.scenario).cut(dataset_of_classes(NAMES), settings)


def shown(scenario: Scenario) -> list[list[str]]:
    names = [NAMES[index] for index in scenario.class_order]
    return [[*map(names.__getitem__, labels)] for labels in scenario.classes]


def test_classes_per_experience_cut_the_usual_order() -> None:
    scenario = cut("--experience-classes", "3", "1", "2")
    assert [len(labels) for labels in scenario.classes] == [3, 1, 2]
    assert scenario.class_order == class_order(6, 1993)


def test_class_lists_are_the_experiences() -> None:
    lists = [["dog", "ant"], ["fox"], ["bee", "cat", "eel"]]
    words = ["--class-lists", "dog,ant", "fox", "bee,cat,eel"]
    assert shown(cut(*words)) == lists


@pytest.mark.parametrize("scenario", PARTITIONING)
def test_every_scenario_that_partitions_the_classes_takes_lists(scenario: str) -> None:
    words = ["--scenario", scenario, "--class-lists", "eel", "dog,ant,bee,cat,fox"]
    assert shown(cut(*words))[0] == ["eel"]


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json"])
def test_class_lists_come_from_a_file_or_nested_in_the_options(tmp_path: Path, suffix: str) -> None:
    lists = [["dog", "no"], ["fox, red", "01"]]
    path = tmp_path / f"lists.{suffix}"
    path.write_text(json.dumps(lists) if suffix == "json" else "- [dog, no]\n- ['fox, red', 01]\n")
    read = config("--class-lists", str(path))
    options = tmp_path / "options.yaml"
    options.write_text(yaml.safe_dump({"class_lists": lists}))
    assert config("--config", str(options)) == read
    assert read.class_lists == (("dog", "no"), ("fox, red", "01"))


@given(st.lists(st.lists(st.text("ab ,\"'", min_size=1), min_size=1), min_size=1))
def test_what_is_written_is_read_again(lists: list[list[str]]) -> None:
    words = [class_list_word(names) for names in lists]
    assert read_class_lists(words) == tuple(tuple(names) for names in lists)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--experience-classes", "3", "2"], "are 5 classes, and the data have 6; .* 1 more"),
        (["--experience-classes", "3", "4"], "1 fewer"),
        (["--experience-classes", "6", "0"], "each must be at least 1"),
        (["--experience-classes", "3", "3", "--experiences", "3"], "--experiences 3"),
        (["--experience-classes", "3", "3", "--first-classes", "2"], "--first-classes 2"),
        (["--class-lists", "ant", "bee", "--experiences", "3"], "--experiences 3"),
        (["--class-lists", "ant", "--experience-classes", "1"], "drop one"),
        (["--class-lists", "ant", "--class-order", "ant"], "--class-order"),
        (["--class-lists", "ant,bee,cat", "dog,eel"], "missing: fox"),
        (["--class-lists", "ant,bee,cat", "dog,eel,fox,cow,ant"], "unknown: cow; named twice: ant"),
        (["--class-lists", "ant,,bee"], "empty"),
        (["--class-lists", "nowhere.yaml"], "No such file"),
        (
            ["--scenario", "class-incremental:base=3,phases=3", "--experience-classes", "3", "3"],
            "drop base and phases",
        ),
        (["--scenario", "blurry", "--experience-classes", "3", "3"], "--experience-classes: "),
        (["--scenario", "blurry", "--class-lists", "ant", "bee"], "--class-lists: "),
    ],
)
def test_contradictions_are_refused_in_one_line(words: list[str], match: str) -> None:
    with pytest.raises(UserError, match=match) as caught:
        cut(*words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: b", "[a, b]", "[[a], [[b]]]", "[", "[[]]"])
def test_a_file_without_class_lists_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lists.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="--class-lists"):
        read_class_lists([str(path)])


def test_a_run_with_class_lists_is_recorded_found_again_and_reported(
    fractals: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in (fractals / "train").iterdir())
    words = ["--class-lists", ",".join(names[3:]), *names[:3], "--data-root", str(fractals)]
    words += ["--strategy", "naive", "--epochs", "1"]
    run = config(*words)
    out = tmp_path / "out"
    assert run_grid([run], out, Console(file=(tmp_path / "log").open("w"))) == []
    folder = run_folder(out, run)
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    assert stored["class_lists"] == [names[3:], *([name] for name in names[:3])]
    assert stored["experiences"] == 4
    assert is_finished(run, folder)
    assert is_finished(config("--config", str(folder / "config.yaml")), folder)
    with pytest.raises(UserError, match="experience"):
        is_finished(config(*words[5:], "--experience-classes", "2", "3"), folder)
    assert build_report(out).exists()
