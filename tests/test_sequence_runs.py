"""Runs on tokens without places in the image: a sequence in the place of a grid."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.tokenizer_samples import images, titok_s6
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.modality import build_modality
from seit_cl.experiment.run_data import RunData
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.models import build_model
from seit_cl.results.run_files import read_run
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.entropy import entropy_command
from seit_cl.tokenizers.commands.options import Encode, Entropy

SHORT: dict[str, Any] = {"experiences": 2, "epochs": 1, "batch": 16, "replay_batch": 8}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a small TiTok for images of 64 px."""
    path = tmp_path_factory.mktemp("tokenizer") / "titok.safetensors"
    titok_s6(legacy=False).save(path)
    return path


def run(folder: Path, **options: Any) -> Path:
    """A finished run's folder."""
    config = RunConfig(**{**SHORT, "memory_mb": 0.001, **options})
    data = RunData(config)
    build_modality(config.learner, data).prepare()
    Experiment(config, data, folder).run()
    return folder


@pytest.mark.slow
def test_images_and_their_token_file_give_the_same_run_on_sequences(
    fractals: Path, tokenizer: Path, tmp_path: Path
) -> None:
    on_images = run(tmp_path / "i", data_root=fractals, tokenizer=str(tokenizer), resolution=64)
    file = tmp_path / "tokens.safetensors"
    encode_command(Encode(fractals, file, tokenizer=str(tokenizer), resolution=64, workers=1))
    on_tokens = run(tmp_path / "t", data_root=file, tokenizer=str(tokenizer))
    for name in ("accuracy.csv", "memory.bin"):
        assert (on_images / name).read_bytes() == (on_tokens / name).read_bytes()
    assert "no random crops (--token-rrc), no swaps" in (on_images / "log.txt").read_text()
    assert read_run(on_images).metadata["exemplars"] > 0
    memory = ByteBudgetBuffer.load(on_images / "memory.bin")
    exemplars = memory.sample(4, torch.Generator().manual_seed(0))
    assert exemplars.inputs.shape == (4, 1, 1, 6)


@pytest.mark.parametrize("model", ["slim_resnet18", "timm:resnet10t"])
def test_models_of_grids_refuse_sequences(fractals: Path, tokenizer: Path, model: str) -> None:
    config = RunConfig(data_root=fractals, tokenizer=str(tokenizer), resolution=64, model=model)
    context = build_modality("tokens", RunData(config)).model_context
    with pytest.raises(UserError, match=r"a sequence of 6 tokens.*micro, tiny") as refused:
        build_model(model, context)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("coder", ["table", "context"])
def test_entropy_coded_sequences_are_those_of_fixed_width(
    coder: str, fractals: Path, tokenizer: Path, tmp_path: Path
) -> None:
    own = tmp_path / "titok.safetensors"
    shutil.copy(tokenizer, own)
    out = own.with_suffix(".entropy.safetensors")
    entropy_command(Entropy(fractals, out, tokenizer=str(own), resolution=64, steps=20))
    opened = open_tokenizer(str(own))
    tokens = opened.encode(images(20, 64))
    assert tokens.shape == (20, 1, 1, 6)
    memory = ByteBudgetBuffer.of(
        f"tokens:coder={coder}", 20_000, classes=2, resolution=64, tokenizer=opened
    )
    memory.offer(Samples.of_tokens(tokens, torch.arange(20) % 2))
    memory.save(tmp_path / "memory.bin")
    loaded = ByteBudgetBuffer.load(tmp_path / "memory.bin", tokenizer=opened)
    stored = loaded.by_ids(torch.arange(20)).inputs
    assert sorted(stored.flatten(1).tolist()) == sorted(tokens.flatten(1).tolist())
