"""Photographs stand upright wherever they are decoded, and other images are as they were."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from seit_cl.core.notes import LOGGER
from seit_cl.data.decoding import decode_image, lies_on_its_side
from seit_cl.data.orientation import HEAD, TAG, orientation_of
from seit_cl.data.stored import ImageFile
from seit_cl.datasets import from_torch, list_data
from seit_cl.experiment import token_cache
from seit_cl.experiment.token_cache import cached_tokens
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats._records import Records
from seit_cl.tokenizers import open_tokenizer

KINDS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "MPO")
LARGE = (1200, 900)  # pixels: decoded by PIL, at a reduced size
SMALL = (48, 40)


def scene(width: int, height: int) -> Image.Image:
    """A smooth image without any symmetry."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([255 * x / width, 255 * y / height, 200 * (x + 2 * y > height)], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def photograph(size: tuple[int, int], orientation: int, kind: str = "JPEG") -> bytes:
    """A file of a scene that is upright when it is turned as its EXIF data say."""
    tagged = Image.Exif()
    tagged[TAG] = orientation
    tagged[0x0110] = "a camera"
    file = io.BytesIO()
    options = {} if kind == "PNG" else {"quality": 95}
    scene(*size).save(file, kind, exif=tagged, **options)
    return file.getvalue()


def expected(size: tuple[int, int], orientation: int, side: int) -> np.ndarray:
    """Such a photograph as a viewer shows it, cropped to a square."""
    image = scene(*size)
    image.getexif()[TAG] = orientation
    return np.asarray(ImageOps.fit(ImageOps.exif_transpose(image), (side, side)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("size", "side"), [(SMALL, 40), (SMALL, 32), (LARGE, 64)])
def test_a_photograph_is_turned_as_viewers_turn_it(
    size: tuple[int, int], side: int, orientation: int
) -> None:
    pixels = decode_image(photograph(size, orientation), side).astype(int)
    assert np.abs(pixels - expected(size, orientation, side)).mean() < 6


@pytest.mark.parametrize("kind", KINDS)
def test_photographs_of_every_kind_are_turned(kind: str) -> None:
    pixels = decode_image(photograph(SMALL, 6, kind), 32).astype(int)
    assert np.abs(pixels - expected(SMALL, 6, 32)).mean() < 6


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_an_upright_photograph_has_the_bytes_of_one_without_exif(size: tuple[int, int]) -> None:
    plain = io.BytesIO()
    scene(*size).save(plain, "JPEG", quality=95)
    upright = decode_image(photograph(size, 1), 40)
    assert np.array_equal(upright, decode_image(plain.getvalue(), 40))


def test_original_files_are_kept_as_they_are_and_come_back_upright() -> None:
    data = photograph(SMALL, 6)
    memory = build_format("jpeg:original", FormatContext(resolution=32, classes=2))
    records = Records.from_bytes([data])
    assert records.data.numpy().tobytes() == data
    image = memory.decode(records)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(image, decode_image(data, 32))


def test_images_of_a_torch_dataset_are_turned() -> None:
    items = [(Image.open(io.BytesIO(photograph(SMALL, 6))), label) for label in (0, 1, 0, 1)]
    data = from_torch(items, items, classes=["a", "b"])
    pixels = data.train.images[0].pixels()
    assert pixels is not None
    assert pixels.shape == (48, 40, 3)


def test_a_token_cache_with_photographs_on_their_side_is_made_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path / "cache"))
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(2):
            (tmp_path / "set" / name / f"{i}.jpg").write_bytes(photograph(SMALL, 1 + 5 * i))
    dataset = list_data(tmp_path / "set")
    tokenizer = open_tokenizer("bundled")
    with monkeypatch.context() as earlier:
        earlier.setattr("seit_cl.data.decoding.turn_upright", lambda pixels, orientation: pixels)
        earlier.setattr(token_cache, "UPRIGHT", "as stored")
        before = torch.cat(cached_tokens(dataset, tokenizer, 32))
    now = torch.cat(cached_tokens(dataset, tokenizer, 32))
    assert not torch.equal(before, now)
    (line,) = [record.getMessage() for record in caplog.records if record.name == LOGGER.name]
    assert ".jpg: not upright in the token cache" in line
    caplog.clear()
    assert torch.equal(now, torch.cat(cached_tokens(dataset, tokenizer, 32)))
    assert not caplog.records


def test_a_header_tells_an_image_that_lies_on_its_side(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    for data, on_side in (
        (photograph(SMALL, 6), True),
        (photograph(SMALL, 1), False),
        (b"", False),
    ):
        path.write_bytes(data)
        assert lies_on_its_side(ImageFile(path, tmp_path)) == on_side


@given(st.binary(max_size=200))
def test_damaged_exif_data_name_an_orientation_or_none(data: bytes) -> None:
    for start in (b"", HEAD, b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        assert 1 <= orientation_of(start + data) <= 8


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_the_standard_does_not_know_is_none(value: int) -> None:
    data = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, TAG, 3, 1, value, 0, 0)
    assert orientation_of(data) == 1
