"""Defaults that follow from the data: number of experiences and resolution."""

from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from rich.console import Console

from helpers.named_classes import dataset_of_classes
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.experiment.density import open_material
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import is_finished, run_folder, run_grid
from seit_cl.tokenizers import DEFAULT_TOKENIZER

SPLITTING = ["class-incremental", "blurry", "long-tailed", "online"]


def write_photos(root: Path, width: int, height: int, classes: int = 2, each: int = 4) -> Path:
    """A folder of noise, `each` images a class, without a val split."""
    generator = torch.Generator().manual_seed(0)
    for label in range(classes):
        folder = root / f"class{label}"
        folder.mkdir(parents=True)
        for i in range(each):
            pixels = torch.randint(0, 256, (height, width, 3), generator=generator)
            Image.fromarray(pixels.to(torch.uint8).numpy()).save(folder / f"{i}.png")
    return root


def quick(root: Path, **options: int) -> RunConfig:
    return RunConfig(
        data_root=root, strategy="naive", memory_mb=0, format="", epochs=1, batch=4, **options
    )


def test_a_folder_of_two_classes_runs_and_says_how_many_experiences(tmp_path: Path) -> None:
    root = write_photos(tmp_path / "photos", 32, 32)
    console = Console(record=True, width=200, file=(tmp_path / "log").open("w"))
    out = tmp_path / "out"
    assert run_grid([quick(root)], out, console) == []
    printed = console.export_text()
    assert "2 experiences: 2 classes do not fill the 5 of --scenario class-incremental" in printed
    folder = run_folder(out, quick(root))
    assert yaml.safe_load((folder / "config.yaml").read_text())["experiences"] == 2
    assert is_finished(quick(root), folder)
    assert is_finished(quick(root, experiences=2), folder)
    with pytest.raises(UserError, match="made with experiences 2, not 5"):
        is_finished(quick(root, experiences=5), folder)


@pytest.mark.parametrize("scenario", SPLITTING)
@pytest.mark.parametrize(("classes", "first", "fitting"), [(1, 0, 1), (3, 0, 3), (8, 0, 5)])
def test_the_default_number_of_experiences_is_the_largest_up_to_five_that_classes_fill(
    scenario: str, classes: int, first: int, fitting: int
) -> None:
    dataset = dataset_of_classes([f"c{i}" for i in range(classes)])
    config = RunConfig(scenario=scenario, first_classes=first)
    settings = config.resolved_stream(classes)
    assert settings.experiences == fitting
    assert build_recipe(scenario).cut(dataset, settings)


def test_a_large_first_experience_leaves_fewer_for_the_others() -> None:
    dataset = dataset_of_classes([f"c{i}" for i in range(6)])
    settings = RunConfig(first_classes=4).resolved_stream(6)
    assert settings.experiences == 3
    sizes = [len(c) for c in build_recipe("class-incremental").cut(dataset, settings).classes]
    assert sizes == [4, 1, 1]


@pytest.mark.parametrize("options", [{"experiences": 5}, {"first_classes": 7}])
def test_an_impossible_number_that_was_asked_for_is_refused(options: dict[str, int]) -> None:
    dataset = dataset_of_classes(["a", "b"])
    settings = RunConfig(**options).resolved_stream(2)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="2 classes cannot fill"):
        build_recipe("class-incremental").cut(dataset, settings)


@pytest.mark.parametrize(
    ("width", "height", "side"), [(500, 375, 256), (160, 120, 120), (20, 17, 32), (64, 64, 64)]
)
def test_run_and_density_use_a_folder_at_the_same_resolution(
    tmp_path: Path, width: int, height: int, side: int
) -> None:
    root = write_photos(tmp_path / "photos", width, height, each=2)
    assert RunData(quick(root)).resolution == side
    assert open_material(root, 2, 0, DEFAULT_TOKENIZER).side == side


def test_density_measures_a_folder_without_classes_by_its_images(tmp_path: Path) -> None:
    root = write_photos(tmp_path / "photos", 90, 72, classes=1, each=2)
    assert open_material(root / "class0", 2, 0, DEFAULT_TOKENIZER).side == 72
    assert open_material(root, 2, 40, DEFAULT_TOKENIZER).side == 40
