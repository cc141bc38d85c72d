"""A run in bf16 learns as one in float32."""

from pathlib import Path

import pytest

from helpers.colour_stream import colours, run


def test_a_run_in_bf16_follows_one_in_float32(tmp_path: Path) -> None:
    data = colours(tmp_path / "colours")
    options = {"epochs": 6, "cutmix_p": 0.0}
    whole = run(data, tmp_path / "float32", precision="fp32", **options)
    half = run(data, tmp_path / "bf16", precision="bf16", **options)
    assert half.losses == pytest.approx(whole.losses, rel=0.1, abs=0.05)
    assert half.row["final_accuracy"] == pytest.approx(whole.row["final_accuracy"], abs=0.15)
