"""Domain-incremental streams, from folders of domains and from corruptions."""

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from helpers.colour_stream import run, write_colours
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.corruptions import CORRUPTIONS
from seit_cl.data.domains import DomainDataset, list_domains
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.settings import StreamSettings
from seit_cl.data.stored import StoredImage
from seit_cl.experiment.run_data import RunData, open_dataset
from seit_cl.reporting.build import build_report

SPEC = "domain-incremental:corruptions=contrast+gaussian_noise,severity=5"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("clean") / "colours")


def opened(root: Path, spec: str = SPEC) -> DomainDataset:
    dataset = open_dataset(RunConfig(data_root=root, scenario=spec))
    assert isinstance(dataset, DomainDataset)
    return dataset


def domain_of(image: StoredImage) -> str:
    """The domain in an image's name."""
    return image.name.split("/")[0]


def test_a_train_image_is_in_one_domain_and_a_val_image_in_every_one(clean: Path) -> None:
    dataset = opened(clean)
    scenario = build_recipe(SPEC).cut(dataset, StreamSettings(0))
    assert dataset.domains == ("clean", "contrast", "gaussian_noise")
    assert dataset.name == "colours"
    assert torch.cat(scenario.train).sort().values.tolist() == list(range(48))
    assert [len(ids) for ids in scenario.train] == [16, 16, 16]
    assert [len(ids) for ids in scenario.test] == [40, 40, 40]
    names = [image.name.split("/")[-1].removesuffix(".png") for image in dataset.train.images]
    assert len({name.removesuffix(".png") for name in names}) == 48
    for experience, ids in enumerate(scenario.train):
        assert {domain_of(dataset.train.images[i]) for i in ids.tolist()} == {
            dataset.domains[experience]
        }
        assert set(dataset.train.labels[ids].tolist()) == {0, 1, 2, 3}
    assert scenario.classes == ((0, 1, 2, 3),) * 3
    assert scenario.boundaries


def test_clean_files_are_the_originals_and_corrupted_ones_are_made_once(clean: Path) -> None:
    dataset = opened(clean)
    first = next(image for image in dataset.val.images if domain_of(image) == "clean")
    assert first.read() == (clean / "val" / "colour0" / "00.png").read_bytes()
    again = opened(clean)
    assert again.manifest == dataset.manifest
    assert again.root == dataset.root
    assert not [path for path in dataset.root.parent.iterdir() if path.name.startswith(".")]
    other = opened(clean, SPEC.replace("severity=5", "severity=4"))
    assert other.root != dataset.root
    same = [image.name for image in dataset.train.images]
    assert same == [image.name for image in other.train.images]


def test_the_corruption_of_an_image_does_not_depend_on_other_images(
    clean: Path, tmp_path: Path
) -> None:
    copy = write_colours(tmp_path / "colours")
    for path in sorted((copy / "val" / "colour0").iterdir())[1:]:
        path.unlink()
    few = opened(copy)
    whole = opened(clean)
    name = Path("gaussian_noise/val/colour0/val-colour0-00.png.png")
    assert (few.root / name).read_bytes() == (whole.root / name).read_bytes()


def domain_folders(root: Path, clean: Path, *domains: str) -> Path:
    for domain in domains:
        (root / domain).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(clean, root / domain, target_is_directory=True)
    return root


def test_folders_of_domains_are_sorted_or_in_the_given_order(clean: Path, tmp_path: Path) -> None:
    root = domain_folders(tmp_path / "art", clean, "photo", "art", "sketch")
    assert opened(root, "domain-incremental").domains == ("art", "photo", "sketch")
    dataset = opened(root, "domain-incremental:domains=sketch+art")
    scenario = build_recipe("domain-incremental").cut(dataset, StreamSettings(0))
    assert dataset.domains == ("sketch", "art")
    assert [len(ids) for ids in scenario.train] == [48, 48]
    assert {domain_of(dataset.train.images[i]) for i in scenario.train[0].tolist()} == {"sketch"}
    assert {domain_of(dataset.val.images[i]) for i in scenario.test[1].tolist()} == {"art"}


def test_domains_without_a_val_split_have_a_fifth_of_each_class_held_out(
    clean: Path, tmp_path: Path
) -> None:
    root = domain_folders(tmp_path / "plain", clean / "train", "a", "b")
    dataset = list_domains(root)
    assert torch.bincount(dataset.val.labels).tolist() == [4] * 4  # 12 // 5 of each of two domains
    assert torch.bincount(dataset.train.labels).tolist() == [20] * 4
    assert not set(dataset.train.images) & set(dataset.val.images)
    assert list_domains(root).val.images == dataset.val.images


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("domain-incremental", "corruptions="),
        ("domain-incremental:corruptions=contrst", "contrast"),
        ("domain-incremental:corruptions=contrast+contrast", "twice"),
        (SPEC.replace("=5", "=6"), "severity=6"),
        ("domain-incremental:domains=a,corruptions=contrast", "one of the two"),
        (SPEC + ",side=7", "side=7"),
        (
            "domain-incremental:corruptions=" + "+".join(CORRUPTIONS) + ",deal_seed=-1",
            "deal_seed=-1",
        ),
    ],
)
def test_invalid_options_are_refused(spec: str, word: str, clean: Path) -> None:
    with pytest.raises(UserError, match=word):
        opened(clean, spec)


def test_wrong_folders_and_numbers_are_refused(clean: Path, tmp_path: Path) -> None:
    root = domain_folders(tmp_path / "art", clean, "photo", "art")
    with pytest.raises(UserError, match="'phot'"):
        opened(root, "domain-incremental:domains=phot+art")
    with pytest.raises(UserError, match="--experiences 3"):
        build_recipe("domain-incremental").cut(
            opened(root, "domain-incremental"), StreamSettings(3)
        )
    (tmp_path / "odd" / "b" / "other").mkdir(parents=True)
    for i in range(2):
        (tmp_path / "odd" / "b" / "other" / f"{i}.png").write_bytes(
            (clean / "val" / "colour0" / "00.png").read_bytes()
        )
    os.symlink(clean, tmp_path / "odd" / "a", target_is_directory=True)
    with pytest.raises(UserError, match="same classes"):
        opened(tmp_path / "odd", "domain-incremental")


def test_classes_that_recur_are_learnt_replayed_resumed_and_reported(
    clean: Path, tmp_path: Path
) -> None:
    data = RunData(RunConfig(data_root=clean, scenario=SPEC))
    options = {"scenario": SPEC, "format": "jpeg:original", "experiences": 3, "data_root": clean}
    whole = run(data, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "runs" / "cut", stop_at=(1, 2), **options)
    resumed = run(data, tmp_path / "runs" / "cut", **options)
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    pd.testing.assert_frame_equal(resumed.run.accuracy, whole.run.accuracy)
    last = resumed.run.accuracy[resumed.run.accuracy["after_experience"] == 2]
    assert last.groupby("experience")["total"].sum().tolist() == [40, 40, 40]
    assert build_report(tmp_path / "runs").is_file()


def test_an_unreadable_image_stops_the_corruption_or_is_skipped(
    clean: Path, tmp_path: Path
) -> None:
    copy = write_colours(tmp_path / "colours")
    (copy / "val" / "colour0" / "00.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"val/colour0/00\.png: not a readable image"):
        opened(copy)
    dataset = open_dataset(RunConfig(data_root=copy, scenario=SPEC, skip_bad_images=True))
    assert len(dataset.val) == 3 * 39
    assert dataset.skipped == (str(copy / "val" / "colour0" / "00.png"),)


def test_an_unreadable_image_in_a_folder_of_domains_can_be_skipped(
    clean: Path, tmp_path: Path
) -> None:
    root = domain_folders(tmp_path / "art", clean, "photo")
    write_colours(root / "art")
    (root / "art" / "train" / "colour1" / "03.png").write_bytes(b"no image")
    config = RunConfig(data_root=root, scenario="domain-incremental")
    with pytest.raises(UserError, match="not a readable image"):
        _ = RunData(config).test_tokens
    left = RunData(replace(config, skip_bad_images=True)).dataset
    scenario = build_recipe("domain-incremental").cut(left, StreamSettings(0))
    assert [len(ids) for ids in scenario.train] == [47, 48]
