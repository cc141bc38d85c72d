"""A backbone trained as a classifier: its file is what frozen features take."""

import sys
from pathlib import Path

import pytest

from seit_cl.tokenizers.nets.backbone import Backbone, BackboneSettings
from studies import backbone


@pytest.mark.slow
def test_its_file_is_taken_as_weights_of_frozen_features(
    fractals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "weights.safetensors"
    words = [
        "--data-root",
        str(fractals),
        "--out",
        str(out),
        "--model",
        "test_resnet",
        "--minutes",
        "0.15",
        "--batch",
        "16",
    ]
    monkeypatch.setattr(sys, "argv", ["backbone", *words])
    backbone.main()
    said = capsys.readouterr().out.replace("\n", " ")
    assert "% of 30 val images" in said
    assert Backbone(BackboneSettings("test_resnet", 2, 0), weights=out).stride == 8
