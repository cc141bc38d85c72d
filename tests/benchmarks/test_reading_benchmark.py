"""The reading benchmark compares readers on equal terms, and writes its page."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import reading
from benchmarks.peers import ReadByPil, ReadByTorchvision
from seit_cl.core.errors import UserError
from seit_cl.data.images import load_images
from seit_cl.reporting.markdown import publish


def test_every_reader_reads_the_same_images(tmp_path: Path) -> None:
    paths = reading.write_full_size(tmp_path, 2)
    ours = load_images(paths, 64).float()
    for reader in (ReadByTorchvision(64, "bicubic"), ReadByPil(64, "bicubic")):
        assert (reader(paths).float() - ours).abs().mean() < 8


def test_small_files_have_torchvisions_pixels(tmp_path: Path) -> None:
    paths = reading.write_small(tmp_path, 10)
    assert len(paths) == 10
    assert torch.equal(ReadByTorchvision(64, "bilinear")(paths), load_images(paths, 64))


def test_full_size_files_are_about_as_large_as_imagenets(tmp_path: Path) -> None:
    paths = reading.write_full_size(tmp_path, 16)
    sizes = [path.stat().st_size for path in paths]
    assert 90_000 < sum(sizes) / len(sizes) < 130_000


def test_reading_and_tokenizing_are_measured(tmp_path: Path) -> None:
    options = reading.Options(small=8, full_size=4, rounds=1)
    result = reading.measure(options)
    assert len(result.reading) == len(result.tokenizing) == 3
    for files in result.reading:
        assert set(files.clock) == {reading.ONE_CORE, reading.ALL_CORES}
        assert files.ratios[reading.OURS].median == 1
        assert all(speed.median > 0 for speed in files.speeds.values())
    assert all(0 < tokenizing.waiting < 1 for tokenizing in result.tokenizing)
    publish(reading.report(result, options, "typed"), tmp_path / "reading.md")
    assert "the encoder waits" in (tmp_path / "reading.md").read_text()


def test_a_folder_without_jpegs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--small-root .*no \.jpg or \.jpeg files"):
        reading.measure(reading.Options(small_root=tmp_path))
