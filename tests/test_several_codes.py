"""Several codes per position, from tokenizer to memory and learner, summed or side by side."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from helpers.random_entropy import random_model
from helpers.tokenizer_samples import frozen, images, residual
from seit_cl import density, tokenize
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.experiment import density_measures as measuring
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.tokenizers import Tokenizer, open_tokenizer

TOKENIZERS = {
    "summed": lambda: residual().first(2),
    "side by side": lambda: frozen("test_resnet", pq="2x16"),
}


@pytest.fixture(params=sorted(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]()


@pytest.fixture
def file(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    """The tokenizer's file, from which runs open it."""
    tokenizer.save(tmp_path / "two.safetensors")  # type: ignore[attr-defined]
    return tmp_path / "two.safetensors"


@pytest.mark.parametrize("format", ["tokens", "jpeg"])
def test_a_run_learns_and_remembers_them(
    format: str, file: Path, tokenizer: Tokenizer, fractals: Path, tmp_path: Path
) -> None:
    config = RunConfig(
        data_root=fractals,
        tokenizer=str(file),
        format=format,
        memory_mb=0.004 if format == "tokens" else 0.02,
        epochs=1,
        batch=16,
        replay_batch=8,
        experiences=2,
        model="micro",
    )
    data = RunData(config)
    made = Experiment(config, data, tmp_path / "run")
    made.run()
    assert data.grid == (2, 8, 8)
    assert data.tokens(torch.arange(3)).shape == (3, 2, 8, 8)
    assert data.tokens(torch.arange(3)).dtype == torch.int16
    wide = tokenizer.codebook.shape[2] * (2 if tokenizer.combine == "concat" else 1)
    assert made.learner.model.patch_embed.proj.in_channels == wide
    row = made.metadata()
    assert row["exemplars"] > 0
    assert row["used_bytes"] <= row["memory_bytes"]
    assert row["tokenizer"] == tokenizer.identity
    memory = ByteBudgetBuffer.load(tmp_path / "run" / "memory.bin")
    if format == "tokens":
        bits = (tokenizer.codebook.shape[1] - 1).bit_length()
        assert row["payload_bytes"] == row["exemplars"] * 2 * 64 * bits // 8
        every = data.tokens(torch.arange(len(data.dataset.train)))
        stored = memory.by_ids(torch.arange(len(memory))).inputs
        assert all(bool((grid == every).flatten(1).all(1).any()) for grid in stored)
    assert len(memory) == row["exemplars"]
    assert pd.read_csv(tmp_path / "run" / "accuracy.csv").total.sum() > 0


def test_a_run_without_an_entropy_model_says_how_to_fit_one(
    file: Path, fractals: Path, tmp_path: Path
) -> None:
    config = RunConfig(
        data_root=fractals, tokenizer=str(file), format="tokens:coder=table", experiences=2
    )
    with pytest.raises(UserError, match=r"fit them with python -m seit_cl\.tokenize entropy"):
        Experiment(config, RunData(config), tmp_path / "run")


@pytest.mark.parametrize("coder", ["table", "context"])
def test_entropy_coded_exemplars_are_those_of_fixed_width(
    coder: str, file: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    groups, codes, _ = tokenizer.codebook.shape
    model = random_model(codes, each=groups, tokenizer=tokenizer.identity)
    model.save(file.with_suffix(".entropy.safetensors"))
    opened = open_tokenizer(str(file))
    tokens = opened.encode(images(20, 64))
    memories = []
    for spec in ("tokens", f"tokens:coder={coder}"):
        memory = ByteBudgetBuffer.of(
            spec, budget_bytes=20_000, classes=2, resolution=64, tokenizer=opened
        )
        memory.offer(Samples.of_tokens(tokens, torch.arange(20) % 2))
        memory.save(tmp_path / "memory.bin")
        memories.append(ByteBudgetBuffer.load(tmp_path / "memory.bin", tokenizer=opened))
    stored = [memory.by_ids(torch.arange(20)).inputs for memory in memories]
    assert torch.equal(stored[0], stored[1])


def test_a_density_table_counts_their_bytes(
    file: Path,
    tokenizer: Tokenizer,
    fractals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "MIN_SECONDS", 0.01)
    words = [
        "--data-root",
        str(fractals),
        "--images",
        "12",
        "--tokenizer",
        str(file),
        "--format",
        "tokens",
        "jpeg",
    ]
    monkeypatch.setattr(sys, "argv", ["density", *words, "--out", str(tmp_path / "out")])
    threads = torch.get_num_threads()
    try:
        density.main()
    finally:
        torch.set_num_threads(threads)
    table = pd.read_csv(tmp_path / "out" / "density.csv").set_index("format")
    bits = (tokenizer.codebook.shape[1] - 1).bit_length()
    assert table.loc["tokens", "payload"] == 2 * 64 * bits / 8
    assert table.loc["tokens", "tokens_kept"] == 1
    assert bool(table.loc["tokens", ["psnr", "ssim"]].isna().all()) is not tokenizer.decodes
    assert "nan" not in (tmp_path / "out" / "density.md").read_text()
    assert (tmp_path / "out" / "images.png").stat().st_size > 1000


def test_inspect_measures_them(
    file: Path,
    tokenizer: Tokenizer,
    fractals: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        sys,
        "argv",
        ["tokenize", "inspect", "--tokenizer", str(file), "--images", str(fractals / "val")],
    )
    tokenize.main()
    output = capsys.readouterr().out
    assert ", 2 a position, stride 8" in output
    assert f"of {2 * tokenizer.codebook.shape[1]} codes in use" in output
    assert ("PSNR" if tokenizer.decodes else "does not decode to images") in output
