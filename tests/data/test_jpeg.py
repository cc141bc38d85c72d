"""JPEG files that torchvision decodes in PIL's place, to the same pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.images import load_images
from seit_cl.data.jpeg import decode_like_pil, decoders_agree, read_head

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "grey": ("L", {}),
    "4:4:4": ("RGB", {"subsampling": "4:4:4"}),
    "4:2:2": ("RGB", {"subsampling": "4:2:2"}),
    "4:2:0": ("RGB", {"subsampling": "4:2:0"}),
    "progressive": ("RGB", {"progressive": True}),
    "restart markers": ("RGB", {"restart_marker_rows": 1}),
    "RGB without YCbCr": ("RGB", {"keep_rgb": True}),
    "with a comment and a profile": (
        "RGB",
        {"comment": b"\xff\xc0" * 50, "icc_profile": b"a" * 99},
    ),
}


def noise(width: int, height: int) -> Image.Image:
    generator = np.random.default_rng(0)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def jpeg_file(image: Image.Image, kind: str) -> bytes:
    mode, options = KINDS[kind]
    file = io.BytesIO()
    image.convert(mode).save(file, "JPEG", quality=85, **options)
    return file.getvalue()


def by_pil(data: bytes, resolution: int) -> Tensor:
    """Image (3, S, S) as `load_images` has always made it."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, (2 * resolution, 2 * resolution))
        rgb = image.convert("RGB")
        width, height = rgb.size
        side = min(width, height)
        left = (width - side) / 2
        top = (height - side) / 2
        box = (left, top, left + side, top + side)
        size = (resolution, resolution)
        if rgb.size != size:
            rgb = rgb.resize(size, Image.Resampling.BICUBIC, box=box)
        return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)


@pytest.fixture
def compared_again() -> Iterator[None]:
    """The decoders are compared again in the test, and after it."""
    decoders_agree.cache_clear()
    yield
    decoders_agree.cache_clear()


def test_this_torchvision_decodes_as_pil_does() -> None:
    assert decoders_agree()


@pytest.mark.parametrize("kind", KINDS)
def test_size_and_pixels_are_pils(kind: str) -> None:
    data = jpeg_file(noise(61, 43), kind)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert read_head(data) == (61, 43, 1)
    assert np.array_equal(decode_like_pil(data), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 64), (32, 32), (70, 33), (255, 256), (256, 300), (400, 300)])
def test_images_of_every_size_are_loaded_as_by_pil(
    tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    data = jpeg_file(noise(*size), kind)
    (tmp_path / "a.jpg").write_bytes(data)
    assert torch.equal(load_images([tmp_path / "a.jpg"], 64)[0], by_pil(data, 64))


def test_files_that_are_left_to_pil_have_no_size() -> None:
    png = io.BytesIO()
    noise(8, 8).save(png, "PNG")
    four_channels = io.BytesIO()
    noise(8, 8).convert("CMYK").save(four_channels, "JPEG")
    whole = jpeg_file(noise(8, 8), "4:2:0")
    frame = whole.index(b"\xff\xc0")
    for data in (png.getvalue(), four_channels.getvalue(), whole[: frame + 5], b"\xff\xd8", b""):
        assert read_head(data) is None
    assert read_head(whole[:frame] + b"\x00" + whole[frame + 1 :]) is None
    assert read_head(whole[:frame] + b"\xff\xc3" + whole[frame + 2 :]) is None  # lossless


def test_a_truncated_file_is_left_to_pil_which_refuses_it(tmp_path: Path) -> None:
    data = jpeg_file(noise(64, 64), "4:2:0")[:-500]
    (tmp_path / "a.jpg").write_bytes(data)
    assert decode_like_pil(data) is None
    with pytest.raises(UserError, match=r"a\.jpg: not a readable image \(.*truncated"):
        load_images([tmp_path / "a.jpg"], 64)


@pytest.mark.usefixtures("compared_again")
@pytest.mark.parametrize("change", ["other pixels", "no decoder"])
def test_a_torchvision_that_does_not_decode_as_pil_is_not_used(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = torch.ops.image.decode_jpeg

    def decode_differently(*words: Any) -> Tensor:
        return decode(*words) ^ 1

    if change == "other pixels":
        monkeypatch.setattr(torch.ops.image, "decode_jpeg", decode_differently)
    else:
        monkeypatch.setattr(torch.ops, "image", torch.ops.no_such_library)
    data = jpeg_file(noise(64, 64), "4:2:0")
    (tmp_path / "a.jpg").write_bytes(data)
    assert decode_like_pil(data) is None
    assert torch.equal(load_images([tmp_path / "a.jpg"], 64)[0], by_pil(data, 64))
