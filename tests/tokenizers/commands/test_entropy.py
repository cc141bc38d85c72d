"""`python -m seit_cl.tokenize entropy`: writes a model, measures it, and names bad options."""

import sys
from pathlib import Path

import pytest

from helpers.tokenizer_samples import bundled
from seit_cl import tokenize
from seit_cl.core.errors import UserError
from seit_cl.formats.entropy.model import load_entropy


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["tokenize", "entropy", *words])
    tokenize.main()


def test_the_file_is_of_the_tokenizer_and_measured_on_val(
    fractals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "m.safetensors"
    folders = ["--data-root", str(fractals), "--photos", str(fractals / "train"), "--sizes", "96"]
    call(monkeypatch, *folders, "--out", str(out), "--steps", "30")
    model = load_entropy(out)
    printed = capsys.readouterr().out
    assert model.tokenizer == bundled().identity
    assert model.codes == 1024
    # 80 images of 8 x 8 tokens, and of 12 x 12 with their mirror images.
    assert "fitting to 28,160 tokens" in printed
    assert "network: step 30 of 30" in printed
    assert "bytes per record of 30 val images at 64 px: table" in printed


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--steps", "0"], "--steps 0: must be at least 1"),
        (["--sizes", "100"], "100: must be a multiple of 8"),
        (["--out", "/nowhere/m.safetensors"], "--out"),
        (["--tokenizer", "/nowhere.safetensors"], "nowhere"),
    ],
)
def test_what_cannot_be_is_named(
    words: list[str], named: str, fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=named):
        call(
            monkeypatch,
            "--data-root",
            str(fractals),
            "--photos",
            str(fractals / "train"),
            "--out",
            str(tmp_path / "m.safetensors"),
            *words,
        )
