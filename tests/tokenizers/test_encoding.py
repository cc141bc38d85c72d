"""Tokenizing image files: decoding and encoding overlap, and the tokens do not depend on it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.tokenizer_samples import from_file
from seit_cl.core.errors import UserError
from seit_cl.data import images as image_files
from seit_cl.data.fractals import write_fractals
from seit_cl.data.images import load_images
from seit_cl.tokenizers._encoding import check_resolution, encode_files


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten image files of 32 pixels."""
    root = write_fractals(tmp_path_factory.mktemp("fractals"), 1, 10, 1, 32)
    return sorted((root / "train").rglob("*.png"))


@pytest.mark.parametrize(("chunk", "threads"), [(3, 1), (4, 3), (100, 2)])
def test_tokens_are_those_of_all_images_at_once(
    paths: list[Path], chunk: int, threads: int
) -> None:
    advanced: list[int] = []
    tokens = encode_files(paths, from_file(), 32, advanced.append, chunk, threads)
    assert torch.equal(tokens, from_file().encode(load_images(paths, 32)))
    assert sum(advanced) == 10
    assert max(advanced) == min(chunk, 10)


class WaitingTokenizer:
    """A real tokenizer that encodes nothing before all files are decoded."""

    def __init__(self, all_decoded: threading.Event) -> None:
        self.all_decoded = all_decoded
        self.inner = from_file()
        self.codebook = self.inner.codebook

    def encode(self, images: Tensor) -> Tensor:
        assert self.all_decoded.wait(10)
        return self.inner.encode(images)


def test_the_next_files_are_decoded_while_a_chunk_is_encoded(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    all_decoded = threading.Event()
    load_image = image_files.load_image

    def load(path: Path, resolution: int) -> object:
        image = load_image(path, resolution)
        decoded.append(path)
        if len(decoded) == 6:
            all_decoded.set()
        return image

    monkeypatch.setattr(image_files, "load_image", load)
    tokenizer = WaitingTokenizer(all_decoded)
    tokens = encode_files(paths[:6], tokenizer, 32, chunk=2)
    assert len(tokens) == 6


def test_a_broken_file_is_named(paths: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken\.jpg: not a readable image"):
        encode_files([*paths, broken], from_file(), 32, chunk=4)


def test_a_side_that_the_stride_does_not_divide_is_refused() -> None:
    check_resolution(32, 8)
    with pytest.raises(UserError, match="--resolution 36: must be a multiple of 8"):
        check_resolution(36, 8)
