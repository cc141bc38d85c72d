"""The study of bytes, labels and length: its arms differ as they say, and its tables add up."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seit_cl import RunConfig, run_experiment
from seit_cl.data.fractals import render, write_fractals
from seit_cl.models import ModelContext
from seit_cl.models._weights import save_weights
from seit_cl.tokenizers import open_tokenizer
from studies.factors import arms, page, same_codec, study
from studies.factors.latents import LatentViT
from studies.factors.self_supervised import SelfSupervised

EPOCHS = 1


@pytest.fixture
def options(tmp_path: Path) -> study.Options:
    """Options on a folder of five classes; two arms and one seed."""
    root = write_fractals(tmp_path / "data", 5, 4, 2, 64)
    return study.Options(
        data_root=root,
        pretraining_data=root,
        out=tmp_path / "out",
        arm=("tokens-labels", "images-tokens-labels"),
        seed=(0,),
        epochs=EPOCHS,
    )


def test_every_arm_makes_valid_runs_at_every_budget(options: study.Options) -> None:
    names = tuple(name for name, arm in arms.ARMS.items() if arm.pretraining != "labels")
    cases = list(study.cases(replace(options, arm=names), "bytes"))
    assert len(cases) == len(names) * len(arms.BUDGETS)
    assert len({(case.folder, case.config) for case in cases}) == len(cases)
    for case in cases:
        assert isinstance(case.config, RunConfig)
        assert case.config.fill == "after"


def test_a_dry_run_lists_all_runs_and_makes_none(
    options: study.Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data-root", options.data_root, "--pretraining-data", options.pretraining_data]
    words += ["--out", options.out, "--seed", 0, "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["factors", *map(str, words)])
    study.main()
    listed = capsys.readouterr().out
    for name in arms.ARMS:
        assert f"{name}/" in listed
    assert "tokens/number-of-images-tokens/" in listed
    assert not options.out.exists()


def test_pretraining_takes_the_image_passes_of_the_tokenizer() -> None:
    card = open_tokenizer().card
    steps = int(card["training"].split()[0])
    passes = study.PRETRAINING_EPOCHS * 25_000
    assert passes == pytest.approx(64 * steps, rel=0.01)


def test_a_learner_trained_without_labels_starts_a_run(options: study.Options) -> None:
    images, _ = render(4, 4, 64, 0, "train")
    features = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    training = SelfSupervised("micro", images, features, steps=2)
    training.run()
    case = study.learning(options, "pixels-features", 0.02, 1, 0)
    assert case.config.init is not None
    case.config.init.parent.mkdir(parents=True)
    save_weights(case.config.init, training.network, classes=(), model="micro")
    result = run_experiment(case.config, options.out / case.folder)
    assert result.status == "finished"


def test_a_frozen_encoder_is_neither_trained_nor_counted() -> None:
    network = LatentViT(ModelContext("pixels", 3, 64)).new_network(4, torch.Generator())
    names = [name for name, _ in network.named_parameters()]
    assert not [name for name in names if "encoder" in name]
    images = torch.randn(2, 3, 64, 64)
    assert network(images).shape == (2, 4)
    assert torch.equal(network(images), network.head(network.features(images)))


def test_images_through_a_format_are_those_that_its_memory_gives_back() -> None:
    images, _ = render(3, 1, 64, 0, "train")
    restored = same_codec.through_format(images, "jpeg_scan:quality=10")
    assert restored.shape == images.shape
    error = (restored.float() - images.float()).abs().mean()
    assert 0 < error < 60
    assert torch.equal(same_codec.through_format(images, "raw"), images)


def test_the_folder_through_a_jpeg_has_all_images_and_is_made_once(tmp_path: Path) -> None:
    root = write_fractals(tmp_path / "data", 2, 3, 1, 64)
    target = tmp_path / "same"
    same_codec.write_through_codec(root, target, "jpeg_scan:quality=10", 64)
    made = sorted(target.rglob("*.png"))
    assert len(made) == 2 * 3 + 2 * 1
    times = [path.stat().st_mtime_ns for path in made]
    same_codec.write_through_codec(root, target, "jpeg_scan:quality=10", 64)
    assert [path.stat().st_mtime_ns for path in made] == times


@pytest.mark.slow
def test_the_page_pairs_runs_of_equal_seed_and_gives_their_difference(
    options: study.Options,
) -> None:
    finals = {}
    for case in study.cases(options, "bytes"):
        if case.config.memory_mb == 0.1:
            result = run_experiment(case.config, options.out / case.folder)
            finals[case.folder.split("/")[0]] = 100 * result.final_accuracy
    text = page.study_page(options.out, "python -m studies.factors")
    difference = finals["tokens-labels"] - finals["images-tokens-labels"]
    assert f"| {difference:+.1f} |" in text
    assert "same learner, same labels" in text
