"""Runs on tokens without places in the image: a sequence in the place of a grid."""

from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.tokenizer_samples import titok_s6
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.modality import build_modality
from seit_cl.experiment.run_data import RunData
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.models import build_model
from seit_cl.results.run_files import read_run
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode

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
