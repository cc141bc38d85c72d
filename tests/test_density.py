"""`python -m seit_cl.density`: its table, figure and picture, and its errors."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from seit_cl import density
from seit_cl.core import blocks
from seit_cl.core.errors import UserError
from seit_cl.experiment import density_measures as measuring
from seit_cl.experiment.density import build_formats, open_material
from seit_cl.experiment.density_examples import encode_examples
from seit_cl.formats._baselines import BASELINES
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode

Call = Callable[..., pd.DataFrame]


@pytest.fixture
def call(fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command on fractals, or on another --data-root; returns density.csv by format."""
    monkeypatch.setattr(measuring, "MIN_SECONDS", 0.01)
    folders = ["--data-root", str(fractals), "--out", str(tmp_path / "out")]

    def run(*words: str) -> pd.DataFrame:
        monkeypatch.setattr(sys, "argv", ["density", *folders, *words])
        threads = torch.get_num_threads()
        try:
            density.main()
        finally:
            torch.set_num_threads(threads)
        return pd.read_csv(tmp_path / "out" / "density.csv").set_index("format")

    return run


def test_formats_and_baselines_are_measured_and_drawn(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = call("--images", "20")
    last = capsys.readouterr().out.splitlines()[-1]
    page = tmp_path / "out" / "density.md"
    assert last == f"results: {page}; beside it density.csv, bytes.png and images.png"
    assert list(table.index[:2]) == ["raw", "png:size=64"]
    assert set(BASELINES) <= set(table.index)
    text = page.read_text()
    assert "| tokens | 81.0 | 80.0 |" in text
    assert "20 images of fractals at 64 px" in text
    for name in ("bytes.png", "images.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_entropy_coded_tokens_are_smaller_and_as_faithful(call: Call) -> None:
    table = call("--images", "20")
    fixed = table.loc["tokens"]
    fast = table.loc["tokens:coder=table"]
    dense = table.loc["tokens:coder=context"]
    assert fixed["bytes_each"] == 81
    assert dense["bytes_each"] < fast["bytes_each"] < table.loc["fixed, xz each", "bytes_each"]
    assert dense["tokens_kept"] == 1
    assert dense["codec_bytes"] > fixed["codec_bytes"] > 0
    assert 0 < table.loc["jpeg:quality=25,size=64", "tokens_kept"] < 1
    assert table.loc["raw", "psnr"] == math.inf


PRICES = ["--cost-per-gb-month", "0.02", "--images-per-day", "1000000", "--retention-months", "12"]


def test_prices_add_the_costs_of_every_format_and_of_the_originals_with_their_fidelity(
    call: Call, tmp_path: Path
) -> None:
    table = call("--images", "20", "--format", "jpeg:quality=25", "tokens", *PRICES)
    costs = pd.read_csv(tmp_path / "out" / "cost.csv").set_index("format")
    assert list(costs.index) == ["the original files", "jpeg:quality=25,size=64", "tokens"]
    months = 1_000_000 * 365.25
    for name in costs.index[1:]:
        assert costs.loc[name, "bytes_each"] == table.loc[name, "bytes_each"]
        assert costs.loc[name, "psnr"] == table.loc[name, "psnr"]
    originals = costs.loc["the original files"]
    assert originals["gigabytes_full"] == pytest.approx(originals["bytes_each"] * months / 1e9)
    assert originals["bytes_each"] == pytest.approx(table.loc["original files", "bytes_each"])
    assert (originals["ssim"], originals["core_hours_a_month"]) == (1, 0)
    encoding = 1 / table.loc["tokens", "encode_per_second"]
    tokenizing = 1 / table.loc["tokens", "tokenize_per_second"]
    hours = costs.loc["tokens", "core_hours_a_month"]
    assert hours == pytest.approx((encoding + tokenizing) * months / 12 / 3600, rel=1e-4)
    page = (tmp_path / "out" / "density.md").read_text()
    assert "What storing a stream costs: 1,000,000 images a day" in page
    assert "| the original files |" in page


def test_a_price_without_a_finite_sum_of_costs_is_refused(call: Call) -> None:
    with pytest.raises(UserError, match="--images-per-day 1e\\+200: must be above 0, at most 1e"):
        call(*PRICES[:2], "--images-per-day", "1e200", *PRICES[4:])


def test_a_price_that_is_missing_is_named(call: Call) -> None:
    with pytest.raises(UserError, match="--retention-months missing"):
        call(*PRICES[:4])


def test_blocks_change_no_number_of_the_table(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    formats = ["--format", "jpeg:quality=25", "tokens", "jpeg:original"]
    whole = call("--images", "20", *formats)
    monkeypatch.setattr(blocks, "PIXELS", 2**17)  # four images of 64 px
    monkeypatch.setattr(measuring, "SIMILARITY_PIXELS", 2**9)  # eight rows
    parts = call("--images", "20", *formats)
    speeds = ["encode_per_second", "decode_per_second", "tokenize_per_second"]
    pd.testing.assert_frame_equal(parts.drop(columns=speeds), whole.drop(columns=speeds))


def test_a_token_file_is_measured_without_images(
    call: Call, fractals: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "x.safetensors"
    encode_command(Encode(fractals, tokens, workers=1))
    table = call("--data-root", str(tokens), "--images", "20")
    assert table.loc["tokens", "bytes_each"] == 81
    assert table.loc["tokens", "tokens_kept"] == 1
    assert "original files" not in table.index
    assert "SeiT release, one gzip" in table.index
    assert not (tmp_path / "out" / "images.png").exists()
    assert "nan" not in (tmp_path / "out" / "density.md").read_text()
    dense = call("--data-root", str(tokens), "--images", "20", "--format", "tokens:coder=context")
    assert dense.loc["tokens:coder=context", "bytes_each"] < 81
    with pytest.raises(UserError, match="holds tokens alone"):
        call("--data-root", str(tokens), "--format", "jpeg")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("--images", "0"), "--images 0"),
        (("--memory-mb", "1", "nan"), "--memory-mb nan: must be from one byte"),
        (("--memory-mb", "-1"), "--memory-mb -1: must be from one byte"),
        (("--memory-mb", "inf"), "--memory-mb inf: must be from one byte"),
        (("--data-root", "/nowhere"), "no such folder"),
        (("--resolution", "65"), "--resolution 65"),
        (("--max-pixels", "100"), "which --max-pixels sets"),
        (("--max-pixels", "0"), "--max-pixels 0: must be at least 1"),
        (("--show", *["x.jpg"] * 33), "--show: 33 images"),
        (("--format", "jpg"), "jpeg"),
        (("--format", "jpeg:quality=auto"), "name qualities"),
        (("--budget", "3"), "budget"),
        (("--out", __file__), "--out .*: cannot be written"),
        (("--tokenizer", "absent.safetensors"), "absent.safetensors: no such tokenizer file"),
    ],
)
def test_what_cannot_be_measured_is_named(call: Call, words: tuple[str, ...], match: str) -> None:
    with pytest.raises(UserError, match=match):
        call(*words)


def test_the_images_shown_are_those_of_the_data(fractals: Path) -> None:
    opened = open_material(fractals, 10, 64, "bundled")
    formats = build_formats(["raw"], opened.context)
    examples = encode_examples([], formats, opened)
    measured = {image.numpy().tobytes() for image in opened.samples.pixels()}
    assert {image.numpy().tobytes() for image in examples.originals} <= measured
    assert len(examples.originals) == 6
