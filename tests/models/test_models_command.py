"""Models through the command line: runs, the list, and one line for what does not fit."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from helpers.colour_stream import write_colours
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.models import __main__ as models_command
from seit_cl.run import main


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["run", *words])
    main()


@pytest.mark.slow
def test_a_resnet_learns_colours_from_tokens_through_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_colours(tmp_path / "colours")
    words = "--model slim-resnet18 --format raw --resolution 64"
    words += " --experiences 2 --epochs 10 --batch 8 --replay-batch 8 --memory-mb 0.2"
    words += " --optimizer sgd --learning-rate 0.05 --device cpu --precision fp32 --cutmix-p 0"
    out = tmp_path / "out"
    command(monkeypatch, *words.split(), "--data-root", str(root), "--out", str(out))
    summary = pd.read_csv(out / "summary.csv")
    assert (summary.model == "slim_resnet18").all()
    assert (summary.final_accuracy > 0.6).all()  # 0.5 without a memory; 0.68 or more measured
    assert (summary.model_bytes > 4_000_000).all()
    again = [*words.split(), "--data-root", str(root), "--out", str(out)]
    command(monkeypatch, *again)
    assert "1 of 1 runs are finished already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "slim_resnet"], "--model slim_resnet: no such model; did you mean"),
        (["--model", "slim_resnet18"], "nothing of a token grid of 4 x 4"),
        (["--model", "slim_resnet18:depth=3"], "unknown option 'depth'"),
        (["--model", "timm:resnet18"], "one position of 32 x 32"),
        (["--train", "body"], "--train body: must be head, norm, all"),
        (["--init", "absent.pt"], "absent.pt: no such file of weights"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    root = write_colours(tmp_path / "colours")
    with pytest.raises(UserError, match=message) as refused:
        options = ["--data-root", str(root), "--out", str(tmp_path / "out"), "--experiences", "2"]
        command(monkeypatch, *words, *options)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_the_list_has_a_line_for_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    models_command.main()
    printed = capsys.readouterr().out
    for name in plugins.names("model"):
        assert name in printed
