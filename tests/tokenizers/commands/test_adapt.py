"""`tokenize adapt`: a map that is the same when resumed, and that a run and a pre-training take."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from helpers.colour_stream import colours, run
from seit_cl.core.errors import UserError
from seit_cl.data.images import load_images
from seit_cl.experiment.run_data import RunData
from seit_cl.pretraining.command import pretrain
from seit_cl.pretraining.options import Pretraining
from seit_cl.pretraining.settings import MaskingSettings
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.commands.adapt import adapt_command
from seit_cl.tokenizers.commands.options import Adapt
from seit_cl.tokenizers.training.adapting import (
    AdapterProgress,
    AdapterSettings,
    AdapterTraining,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours", 64)


def training(data: RunData, steps: int) -> AdapterTraining:
    images = load_images(data.dataset.train.images, 64)
    settings = AdapterSettings(steps=steps, batch=8)
    made_of = {"dataset": data.dataset.identity, "resolution": "64"}
    return AdapterTraining(images, open_tokenizer("bundled"), settings, made_of)


def interrupt(progress: AdapterProgress) -> None:
    raise KeyboardInterrupt


def test_a_resumed_map_is_that_of_an_uninterrupted_training_and_runs_take_it(
    data: RunData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "map.safetensors"
    whole = training(data, 3)
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        training(data, 3).run(interrupt, tmp_path / "map.safetensors.training")
    adapt_command(Adapt(data.dataset.root, out, steps=3, batch=8))
    assert "next: python -m seit_cl.run --token-adapt" in capsys.readouterr().out
    expected = whole.finish().state_dict()
    outcome = run(data, tmp_path / "run", token_adapt=out, resolution=64)
    environment = json.loads((outcome.folder / "environment.json").read_text())
    assert len(environment["token_adapt_digest"]) == 16
    adapter = data_adapter(data, out)
    for name, tensor in expected.items():
        assert torch.equal(adapter[name], tensor), name
    config = replace(outcome.config, learner="tokens")
    made = Pretraining(config, MaskingSettings(steps=2, batch=8), tmp_path / "x.safetensors")
    assert pretrain(made, Console(quiet=True)).step == 2


def data_adapter(data: RunData, path: Path) -> dict[str, torch.Tensor]:
    from seit_cl.learner.augment.token_adapt_file import read_adapter

    groups, codes, dim = data.tokenizer.codebook.shape
    return read_adapter(path, data.tokenizer.identity, dim, groups, codes).state_dict()


def test_the_map_learns(data: RunData) -> None:
    learning = training(data, 30)
    losses = []
    learning.run(lambda progress: losses.append(progress.loss))
    assert float(learning.means[0]) < 0.98 * losses[0]


def test_a_run_with_another_tokenizers_map_does_not_start(data: RunData, tmp_path: Path) -> None:
    out = tmp_path / "map.safetensors"
    adapt_command(Adapt(data.dataset.root, out, tokenizer="bundled-unsupervised", steps=1, batch=8))
    with pytest.raises(UserError, match="maps tokens of the tokenizer"):
        run(data, tmp_path / "run", token_adapt=out, resolution=64)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("minutes", 0.0),
        ("minutes", float("inf")),
        ("batch", 0),
        ("steps", -1),
        ("resolution", 33),
    ],
)
def test_options_out_of_range_are_named(tmp_path: Path, name: str, value: float) -> None:
    options = Adapt(tmp_path, tmp_path / "x.safetensors", **{name: value})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"--{name} {value:g}: must be"):
        adapt_command(options)
