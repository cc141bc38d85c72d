"""The named scenarios show the published classes in the published order, from any folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.named_classes import dataset_of_classes
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.folder import open_folder
from seit_cl.data.listed_classes import imagenet_wnids
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import build_recipe

FIRST_TASK_OF_U = [
    *("n03710193", "n03089624", "n04152593", "n01806567", "n02107574"),
    *("n04409515", "n04599235", "n03657121", "n03942813", "n04026417"),
]


@pytest.fixture(scope="module")
def imagenet() -> Dataset:
    """All 1,000 classes."""
    return dataset_of_classes(imagenet_wnids())


def stream(scenario: str, data: Dataset, **options: int) -> tuple[Dataset, Scenario]:
    recipe = build_recipe(scenario)
    config = RunConfig(scenario=scenario, **options)  # type: ignore[arg-type]
    selected = recipe.select(data)
    return selected, recipe.cut(selected, config.resolved_stream(len(selected.classes)))


def shown(scenario: str, data: Dataset) -> list[list[str]]:
    """The class names of every experience."""
    selected, cut = stream(scenario, data)
    names = [selected.classes[index] for index in cut.class_order]
    return [[*map(names.__getitem__, labels)] for labels in cut.classes]


def test_the_first_task_of_the_u_list_is_the_published_one(imagenet: Dataset) -> None:
    tasks = shown("imagenet100-u", imagenet)
    assert tasks[0] == FIRST_TASK_OF_U
    assert [len(task) for task in tasks] == [10] * 10


def test_the_first_100_list_is_the_first_100_wnids_and_shares_nine_with_the_other(
    imagenet: Dataset,
) -> None:
    first = set().union(*shown("imagenet100-first", imagenet))
    drawn = set().union(*shown("imagenet100-u", imagenet))
    assert first == set(imagenet_wnids()[:100])
    assert {"n01440764", "n01443537"} <= first
    assert len(drawn) == 100
    assert len(first & drawn) == 9


def test_imagenet1k_begins_with_classes_54_7_894(imagenet: Dataset) -> None:
    _, cut = stream("imagenet1k", imagenet)
    assert cut.class_order[:10] == (54, 7, 894, 512, 126, 337, 988, 11, 284, 493)
    assert [len(part) for part in cut.classes] == [100] * 10


def test_a_folder_of_the_listed_classes_alone_gives_the_same_stream(imagenet: Dataset) -> None:
    selected = build_recipe("imagenet100-u").select(imagenet)
    assert (
        build_recipe("imagenet100-u").select(dataset_of_classes(selected.classes)).classes
        == selected.classes
    )
    assert shown("imagenet100-u", dataset_of_classes(selected.classes)) == shown(
        "imagenet100-u", imagenet
    )


def test_missing_classes_are_counted_and_a_few_named() -> None:
    with pytest.raises(UserError) as caught:
        build_recipe("imagenet100-first").select(dataset_of_classes(imagenet_wnids()[5:]))
    message = str(caught.value)
    assert "lacks 5 of the 100 classes" in message
    assert imagenet_wnids()[0] in message
    assert "and 2 more" in message
    assert "\n" not in message


def test_base_and_phases_are_one_large_experience_and_equal_ones_after_it(
    imagenet: Dataset,
) -> None:
    for spec in ("imagenet100-u:base=50,phases=5", "imagenet100-u:phases=5,base=50"):
        _, cut = stream(spec, imagenet)
        assert [len(part) for part in cut.classes] == [50, 10, 10, 10, 10, 10]
        assert cut.name == "imagenet100-u:base=50,phases=5"
    assert (
        stream("imagenet100-u:base=50,phases=5", imagenet, experiences=6, first_classes=50)[
            1
        ].classes
        == cut.classes
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [({"experiences": 5}, "--experiences 5"), ({"first_classes": 10}, "--first-classes 10")],
)
def test_options_that_contradict_base_and_phases_are_refused(
    options: dict[str, int], named: str
) -> None:
    spec = "class-incremental:base=50,phases=5"
    with pytest.raises(UserError, match=named):
        RunConfig(scenario=spec, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", ["base=50", "phases=5", "base=-1,phases=5", "base=50,phases=0"])
def test_base_without_phases_or_below_one_is_refused(spec: str) -> None:
    with pytest.raises(UserError, match=r"go together|base=-1: must be 0 or more"):
        build_recipe(f"class-incremental:{spec}")


def tiny(root: Path, classes: int) -> list[str]:
    """Tiny-ImageNet's archive, unpacked, of so many classes with one image each."""
    names = [f"n{i:08d}" for i in range(classes)]
    picture = Image.effect_noise((8, 8), 60).convert("RGB")
    (root / "val/images").mkdir(parents=True)
    for name in names:
        (root / "train" / name / "images").mkdir(parents=True)
        picture.save(root / "train" / name / "images" / f"{name}_0.JPEG")
        picture.save(root / "val/images" / f"val_{name}.JPEG")
    (root / "val/val_annotations.txt").write_text(
        "".join(f"val_{name}.JPEG\t{name}\t0\t0\t7\t7\n" for name in names)
    )
    (root / "wnids.txt").write_text("".join(f"{name}\n" for name in reversed(names)))
    return names


def test_tiny_imagenet_is_read_as_unpacked_from_its_archive(tmp_path: Path) -> None:
    names = tiny(tmp_path, 200)
    selected, cut = stream("tiny-imagenet", open_folder(tmp_path))
    assert selected.classes == names
    assert [len(part) for part in cut.classes] == [20] * 10
    assert cut.class_order == tuple(np.random.RandomState(1993).permutation(200))


def test_tiny_imagenet_without_200_classes_or_with_one_missing_is_refused(tmp_path: Path) -> None:
    names = tiny(tmp_path, 3)
    with pytest.raises(UserError, match=r"wnids\.txt lists 3 classes, and Tiny-ImageNet 200"):
        build_recipe("tiny-imagenet").select(open_folder(tmp_path))
    (tmp_path / "wnids.txt").write_text("\n".join([*names, *(f"n1{i:07d}" for i in range(197))]))
    with pytest.raises(UserError, match="lacks 197 of the 200"):
        build_recipe("tiny-imagenet").select(open_folder(tmp_path))
    (tmp_path / "wnids.txt").unlink()
    with pytest.raises(UserError, match="has 3 classes, and Tiny-ImageNet 200"):
        build_recipe("tiny-imagenet").select(open_folder(tmp_path))
