"""The density table: every format's bytes as a memory counts them, rivals beside them, and one line for what cannot be."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from helpers.tokenizer_samples import bundled
from seit_cl import density
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.formats import _baselines as density_rivals
from seit_cl.formats import build_format
from seit_cl.formats.base import FormatContext
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.reporting import density as density_page
from seit_cl.tokenizers.commands.encode import Encode, encode_command


@pytest.fixture
def call(fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(density, "TIMED", 0.01)

    def run(*words: str) -> pd.DataFrame:
        monkeypatch.setattr(
            sys,
            "argv",
            ["density", "--data-root", str(fractals), "--out", str(tmp_path / "out"), *words],
        )
        threads = torch.get_num_threads()
        try:
            density.main()
        finally:
            torch.set_num_threads(threads)
        return pd.read_csv(tmp_path / "out" / "density.csv").set_index("format")

    return run


def test_formats_are_measured_and_drawn_beside_what_others_store(call, tmp_path: Path) -> None:
    table = call("--images", "20")
    assert list(table.index[:2]) == ["raw", "png:size=64"] and set(density_rivals.BASELINES) <= set(
        table.index
    )
    assert table.loc["tokens", "bytes_each"] == 81
    dense, fast = table.loc["tokens:coder=context"], table.loc["tokens:coder=table"]
    assert dense["bytes_each"] < fast["bytes_each"] < table.loc["fixed, xz each", "bytes_each"]
    assert dense["tokens_kept"] == 1 and 0 < table.loc["jpeg:quality=25,size=64", "tokens_kept"] < 1
    assert (
        table.loc["raw", "psnr"] == float("inf")
        and dense["codec_bytes"] > table.loc["tokens", "codec_bytes"] > 0
    )
    page = (tmp_path / "out" / "density.md").read_text()
    assert "| tokens | 81.0 | 80.0 |" in page and "20 images of fractals at 64 px" in page
    assert all(
        (tmp_path / "out" / name).stat().st_size > 1000 for name in ("bytes.png", "images.png")
    )


def test_as_many_fit_as_a_memory_takes(fractals: Path) -> None:
    paths = sorted((fractals / "train").glob("*/*"))
    source = density.FileSource(paths, 64, bundled())
    context = FormatContext(64, 5, 1024, (1, 8, 8), bundled().identity)
    samples = Samples(torch.arange(len(paths)), torch.zeros(len(paths), dtype=torch.int64), source)
    for spec in ("tokens", "jpeg", "tokens:coder=context"):
        fmt = build_format(spec, context)
        row = pd.Series(density.row(fmt, samples, context, bundled()))
        budget = int(row["header"] + row["tables"] + 0.5 * len(paths) * row["bytes_each"])
        memory = ByteBudgetBuffer(budget, fmt, context, "reservoir")
        memory.offer(samples)
        assert density_page.fit(row, budget / 1e6) == pytest.approx(
            len(memory), abs=1 if spec == "tokens" else 4
        )


def test_a_token_file_is_measured_without_images(call, fractals: Path, tmp_path: Path) -> None:
    encode_command(Encode(fractals, tmp_path / "x.safetensors", workers=1))
    table = call("--data-root", str(tmp_path / "x.safetensors"), "--images", "20")
    assert table.loc["tokens", "bytes_each"] == 81 and table.loc["tokens", "tokens_kept"] == 1
    assert "original files" not in table.index and "SeiT release, one gzip" in table.index
    assert (
        not (tmp_path / "out" / "images.png").exists()
        and "nan" not in (tmp_path / "out" / "density.md").read_text()
    )
    dense = call(
        "--data-root",
        str(tmp_path / "x.safetensors"),
        "--images",
        "20",
        "--format",
        "tokens:coder=context",
    )
    assert dense.loc["tokens:coder=context", "bytes_each"] < 81
    with pytest.raises(UserError, match="holds tokens alone"):
        call("--data-root", str(tmp_path / "x.safetensors"), "--format", "jpeg")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--images", "0"), "--images 0"),
        (("--data-root", "/nowhere"), "no such folder"),
        (("--resolution", "65"), "--resolution 65"),
        (("--format", "jpg"), "jpeg"),
        (("--budget", "3"), "budget"),
    ],
)
def test_what_cannot_be_is_named(call, words: tuple[str, ...], named: str) -> None:
    with pytest.raises(UserError, match=named):
        call(*words)
