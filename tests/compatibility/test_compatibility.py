"""Files written by commit 25b0612, before the code was moved to its present packages, still load.

data/ holds a tokenizer with random weights, its entropy model, a token file, and result folders of
short runs on fractals; data/expected.json holds the values that the same commit read from them.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from seit_cl.data.fractals import write_fractals
from seit_cl.data.token_file import open_token_file
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.reporting.build import build_report
from seit_cl.results.summary import rebuild_summary
from seit_cl.tokenizers import open_tokenizer

DATA = Path(__file__).with_name("data")
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
MEMORIES = sorted(DATA.glob("results*/*/memory.bin"))


def digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def load(path: Path) -> ByteBudgetBuffer:
    tokenizer = open_tokenizer("bundled")
    return ByteBudgetBuffer.load(path, entropy_model=tokenizer.entropy_model)


@pytest.mark.parametrize("path", MEMORIES, ids=lambda path: path.parent.name)
def test_an_old_memory_gives_back_its_exemplars(path: Path) -> None:
    memory = load(path)
    exemplars = memory.by_ids(torch.arange(len(memory)))
    expected = EXPECTED[path.parent.name]
    assert exemplars.labels.tolist() == expected["labels"]
    assert {name: digest(extra) for name, extra in exemplars.extras.items()} == expected["extras"]
    if memory.fmt.domain == "tokens":  # decoded JPEGs depend on the version of the decoder
        assert digest(exemplars.inputs) == expected["inputs"]


@pytest.mark.parametrize("path", MEMORIES, ids=lambda path: path.parent.name)
def test_an_old_memory_is_saved_again_byte_for_byte(path: Path, tmp_path: Path) -> None:
    load(path).save(tmp_path / "memory.bin")
    assert (tmp_path / "memory.bin").read_bytes() == path.read_bytes()


def test_an_old_tokenizer_has_its_identity_and_codebook() -> None:
    tokenizer = open_tokenizer(str(DATA / "tokenizer.safetensors"))
    expected = EXPECTED["tokenizer"]
    assert (tokenizer.identity, digest(tokenizer.codebook)) == (
        expected["identity"],
        expected["codebook"],
    )


def test_an_old_entropy_model_is_found_beside_its_tokenizer() -> None:
    tokenizer = open_tokenizer(str(DATA / "tokenizer.safetensors"))
    model = tokenizer.entropy_model()
    assert model is not None and model.tokenizer == tokenizer.identity


def test_an_old_token_file_has_its_digest_and_grid() -> None:
    file = open_token_file(DATA / "tokens.safetensors")
    expected = EXPECTED["token_file"]
    assert (file.digest(), list(file.grid)) == (expected["digest"], expected["grid"])


@pytest.mark.parametrize("folder", ["results", "results-jpeg"])
def test_old_results_give_their_metrics_and_a_report(folder: str, tmp_path: Path) -> None:
    out = tmp_path / folder
    shutil.copytree(DATA / folder, out)
    old = pd.read_csv(DATA / folder / "summary.csv")
    new = rebuild_summary(out)
    assert (new["status"] == "finished").all()
    metrics = ["final_accuracy", "average_incremental_accuracy", "forgetting", "backward_transfer"]
    np.testing.assert_array_equal(new[metrics], old[metrics])
    assert build_report(out).exists()


@pytest.mark.slow
def test_old_runs_count_as_finished_for_their_command_and_the_time_of_filling_of_then(
    tmp_path: Path,
) -> None:
    images = write_fractals(tmp_path / "fractals", 3, 8, 3, 64)
    shutil.copytree(DATA / "results", tmp_path / "runs")
    for config in tmp_path.glob("runs/*/config.yaml"):
        text = config.read_text().replace("data_root: fractals", f"data_root: {images.resolve()}")
        config.write_text(text)
    command = json.loads(next((DATA / "results").glob("*/environment.json")).read_text())["command"]
    words = command.split()[1:]
    words[words.index("--data-root") + 1] = str(images)
    words[words.index("--out") + 1] = str(tmp_path / "runs")
    words += ["--fill", "after"]  # which was the only way, and is not the default of all strategies
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "4 of 4 runs are finished already" in done.stdout
