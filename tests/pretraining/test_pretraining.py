"""Pre-training: training images alone, the same numbers when resumed, weights that --init takes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from helpers.colour_stream import OPTIONS, colours, run
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.finished import is_finished
from seit_cl.experiment.run_data import RunData
from seit_cl.models._weights import read_weights
from seit_cl.pretraining.command import build_training, pretrain, training_ids
from seit_cl.pretraining.options import Pretraining, parse
from seit_cl.pretraining.settings import MaskingSettings
from seit_cl.pretraining.training import MaskedTraining, PretrainingProgress

STEPS = 3
CONSOLE = Console(quiet=True)
SETTINGS = MaskingSettings(steps=STEPS, batch=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours", 64)


def options(data: RunData, out: Path, **other: Any) -> Pretraining:
    config = RunConfig(
        **{
            "data_root": data.dataset.root,
            "resolution": 64,
            "experiences": 2,
            "device": "cpu",
            "precision": "fp32",
            **other,
        }
    )
    return Pretraining(config, SETTINGS, out)


def training_of(chosen: Pretraining) -> MaskedTraining:
    data = RunData(chosen.config)
    return build_training(chosen, data, training_ids(chosen, data))


def interrupt(progress: PretrainingProgress) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("learner", ["tokens", "pixels"])
def test_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(
    data: RunData, tmp_path: Path, learner: str
) -> None:
    chosen = options(data, tmp_path / "x.safetensors", learner=learner)
    whole = training_of(chosen)
    whole.run()
    checkpoint = tmp_path / "x.safetensors.training"
    with pytest.raises(KeyboardInterrupt):
        training_of(chosen).run(interrupt, checkpoint)
    assert checkpoint.exists()
    resumed = pretrain(chosen, CONSOLE)
    assert not checkpoint.exists()
    assert resumed.loss == whole.loss
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name


def test_a_checkpoint_of_other_options_is_refused(data: RunData, tmp_path: Path) -> None:
    chosen = options(data, tmp_path / "x.safetensors")
    with pytest.raises(KeyboardInterrupt):
        training_of(chosen).run(interrupt, tmp_path / "x.safetensors.training")
    for other in (
        replace(chosen, first_experience=True),
        replace(chosen, settings=replace(SETTINGS, mask=0.5)),
        options(data, chosen.out, seed=1),
        options(data, chosen.out, learner="pixels"),
    ):
        with pytest.raises(UserError, match="of a training with other options or images"):
            pretrain(other, CONSOLE)


@pytest.mark.parametrize("learner", ["tokens", "pixels"])
def test_the_first_experience_alone_is_seen_and_no_test_image(
    data: RunData, tmp_path: Path, learner: str
) -> None:
    chosen = replace(options(data, tmp_path / "x", learner=learner), first_experience=True)
    own = RunData(chosen.config)
    ids = training_ids(chosen, own)
    first = set(own.dataset.train.labels[ids].tolist())
    assert len(first) == 2
    training = build_training(chosen, own, ids)
    seen: list[Tensor] = []
    raw = training.kind.raw
    training.kind.raw = lambda rows: seen.append(rows) or raw(rows)  # type: ignore[method-assign, func-returns-value]
    training.run()
    rows = torch.cat(seen)
    assert set(own.dataset.train.labels[rows].tolist()) <= first
    assert len(rows[: len(ids)].unique()) == len(rows[: len(ids)])
    if learner == "pixels":
        assert "_val_pixels" not in vars(own)


def test_a_validation_part_is_left_out(data: RunData, tmp_path: Path) -> None:
    chosen = options(data, tmp_path / "x", validation_fraction=0.25)
    assert len(training_ids(chosen, RunData(chosen.config))) == 36


@pytest.mark.parametrize("learner", ["tokens", "pixels"])
def test_the_loss_falls(data: RunData, tmp_path: Path, learner: str) -> None:
    chosen = replace(
        options(data, tmp_path / "x", learner=learner), settings=replace(SETTINGS, steps=15)
    )
    training = training_of(chosen)
    losses = []
    for _ in range(15):
        training.mean_loss.zero_()
        training.step = 0
        losses.append(float(training.train_step()[0]))
    assert sum(losses[-3:]) < 0.95 * sum(losses[:3])


@pytest.mark.parametrize("learner", ["tokens", "pixels"])
def test_a_run_starts_from_the_weights_and_records_how_they_were_made(
    data: RunData, tmp_path: Path, learner: str
) -> None:
    chosen = options(data, tmp_path / "x.safetensors", learner=learner)
    training = pretrain(chosen, CONSOLE)
    form = {"tokens": "tokens", "pixels": "raw"}[learner]
    stream = {**OPTIONS, "memory_mb": 0.1, "learner": learner, "format": form, "resolution": 64}
    outcome = run(data, tmp_path / "run", init=chosen.out, **stream)
    log = (outcome.folder / "log.txt").read_text()
    assert f"head left out (the weights are of {training.kind.objective}" in log
    environment = json.loads((outcome.folder / "environment.json").read_text())
    made = environment["init"]
    assert made["steps"] == STEPS
    assert made["images"] == 48
    assert made["images_chosen"] == "all training images"
    assert made["loss"] == pytest.approx(training.loss, abs=1e-6)
    assert ("tokenizer_identity" in made) == (learner == "tokens")
    assert len(environment["init_digest"]) == 16
    before = training.model.vit.state_dict()
    loaded = read_weights(chosen.out).tensors
    assert all(torch.equal(before[name], tensor) for name, tensor in loaded.items())


def test_weights_of_another_tokenizer_and_of_another_learner_are_refused(
    data: RunData, tmp_path: Path
) -> None:
    chosen = options(data, tmp_path / "x.safetensors")
    pretrain(chosen, CONSOLE)
    other = RunData(replace(chosen.config, tokenizer="bundled-unsupervised"))
    stream = {**OPTIONS, "init": chosen.out, "resolution": 64}
    with pytest.raises(UserError, match="made on tokens of the tokenizer"):
        run(other, tmp_path / "run", tokenizer="bundled-unsupervised", **stream)
    with pytest.raises(UserError, match="not the weights of --model micro"):
        run(data, tmp_path / "run", learner="pixels", format="raw", **stream)


def test_a_finished_run_is_not_taken_for_one_with_other_weights(
    data: RunData, tmp_path: Path
) -> None:
    chosen = options(data, tmp_path / "x.safetensors")
    pretrain(chosen, CONSOLE)
    outcome = run(data, tmp_path / "run", init=chosen.out, resolution=64)
    config = outcome.config
    assert is_finished(config, outcome.folder)
    pretrain(replace(chosen, config=replace(chosen.config, seed=1)), CONSOLE)
    with pytest.raises(UserError, match="was made with other weights"):
        is_finished(config, outcome.folder)
    chosen.out.unlink()
    assert is_finished(config, outcome.folder)


def test_a_network_without_patches_is_refused(data: RunData, tmp_path: Path) -> None:
    chosen = options(data, tmp_path / "x", model="slim_resnet18", learner="pixels")
    with pytest.raises(UserError, match="has no patches to mask"):
        pretrain(chosen, CONSOLE)


def test_the_command_line_has_the_options_of_a_run_and_its_own(tmp_path: Path) -> None:
    words = ["--out", "x.safetensors", "--first-experience", "--steps", "7"]
    chosen = parse([*words, "--learner", "pixels", "--class-lists", "a,b", "c"])
    assert chosen.first_experience
    assert chosen.settings.steps == 7
    assert chosen.config.class_lists == (("a", "b"), ("c",))
    with pytest.raises(UserError, match="--mask 1: must be a fraction"):
        parse([*words, "--mask", "1"])
    with pytest.raises(UserError, match="--memory-mb"):
        parse([*words, "--memory-mb", "1"])
