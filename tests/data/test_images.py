"""Decoding image files into one tensor."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seit_cl.core.errors import UserError
from seit_cl.data import images
from seit_cl.data.base import Dataset, Split
from seit_cl.data.images import (
    AHEAD,
    default_resolution,
    load_images,
    native_resolution,
    read_chunks,
)
from seit_cl.data.stored import ImageFile


def colours(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([255 * x / width, 255 * y / height, np.full(x.shape, 90)], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def difference(image: torch.Tensor, expected: Image.Image) -> float:
    """Mean absolute difference of an image (3, S, S) from a PIL image."""
    pixels = torch.from_numpy(np.array(expected)).permute(2, 0, 1)
    return float((image - pixels).abs().mean())


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGB", "RGBA", "I;16"])
def test_pngs_of_every_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.asarray(colours(40, 32).convert("L")).astype(np.uint16) * 257)
    else:
        image = colours(40, 32).convert("L" if mode == "LA" else "RGB").convert(mode)
    image.save(tmp_path / "a.png")
    out = load_images([tmp_path / "a.png"], 32)[0].float()
    assert out.shape == (3, 32, 32)
    lossless = colours(40, 32).convert("RGB" if mode in ("RGB", "RGBA", "P") else "L")
    expected = lossless.convert("RGB").crop((4, 0, 36, 32))
    tolerance = {"1": 130, "P": 20}.get(mode, 1)
    assert difference(out, expected) < tolerance


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_jpegs_of_every_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    colours(64, 64).convert(mode).save(tmp_path / "a.jpg", quality=95)
    out = load_images([tmp_path / "a.jpg"], 64)[0].float()
    assert difference(out, colours(64, 64).convert(mode).convert("RGB")) < 3


def test_a_palette_with_transparency_loads(tmp_path: Path) -> None:
    colours(32, 32).convert("P").save(tmp_path / "a.png", transparency=b"\x00\x80\xff")
    assert load_images([tmp_path / "a.png"], 32).shape == (1, 3, 32, 32)


def test_an_image_of_the_right_size_is_untouched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    out = load_images([tmp_path / "a.png"], 48)
    assert out.dtype == torch.uint8
    assert np.array_equal(out[0].permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize("size", [(100, 50), (50, 100), (20, 10), (1, 300)])
def test_the_shorter_side_is_complete_and_the_centre_cropped(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    colours(*size).save(tmp_path / "a.png")
    out = load_images([tmp_path / "a.png"], 32)[0].float()
    side = min(size)
    left = (size[0] - side) // 2
    top = (size[1] - side) // 2
    crop = colours(*size).crop((left, top, left + side, top + side))
    assert difference(out, crop.resize((32, 32), Image.Resampling.BICUBIC)) < 1.5


def test_a_large_jpeg_decoded_at_reduced_size_looks_the_same(tmp_path: Path) -> None:
    colours(1600, 1200).save(tmp_path / "a.jpg", quality=95)
    out = load_images([tmp_path / "a.jpg"], 64)[0].float()
    crop = colours(1600, 1200).crop((200, 0, 1400, 1200)).resize((64, 64), Image.Resampling.BICUBIC)
    assert difference(out, crop) < 2


def test_an_image_beyond_pils_limit_loads_and_the_limit_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours(200, 200).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load_images([tmp_path / "a.png"], 32).shape == (1, 3, 32, 32)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_threads_do_not_change_the_result_and_progress_ends_at_the_count(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(9)]
    for i, path in enumerate(paths):
        colours(40 + i, 36).save(path)
    done: list[int] = []
    one_thread = load_images(paths, 32, threads=1, progress=done.append)
    assert torch.equal(one_thread, load_images(paths, 32, threads=4))
    assert done[-1] == 9


def test_no_files_give_an_empty_tensor() -> None:
    assert load_images([], 32).shape == (0, 3, 32, 32)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"a\.png: not a readable image \(of no format"):
        load_images([tmp_path / "a.png"], 32)


def write_images(folder: Path, count: int) -> list[Path]:
    """Write images of slightly different sizes, and return their paths."""
    paths = [folder / f"{i:02d}.png" for i in range(count)]
    for i, path in enumerate(paths):
        colours(40 + i, 36).save(path)
    return paths


@pytest.mark.parametrize(("chunk", "threads"), [(1, 1), (3, 2), (100, 4)])
def test_chunks_are_the_images_in_order(tmp_path: Path, chunk: int, threads: int) -> None:
    paths = write_images(tmp_path, 10)
    chunks = list(read_chunks(paths, 32, chunk, threads))
    assert torch.equal(torch.cat(chunks), load_images(paths, 32))
    assert all(len(part) == chunk for part in chunks[:-1])


def test_the_next_chunks_are_decoded_before_they_are_asked_for_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    load_image = images.load_image

    def load(path: Path, resolution: int) -> np.ndarray:
        decoded.append(path)
        return load_image(path, resolution)

    monkeypatch.setattr(images, "load_image", load)
    paths = write_images(tmp_path, 12)
    chunks = read_chunks(paths, 32, 2, 2)
    next(chunks)
    ready = 2 * (1 + AHEAD)
    deadline = time.monotonic() + 10
    while len(decoded) < ready and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert sorted(decoded) == paths[:ready]
    chunks.close()
    assert len(decoded) == ready


def test_the_first_broken_file_is_named_after_the_chunks_before_it(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 9)
    for i in (5, 7):
        paths[i].write_bytes(b"no image")
    chunks = read_chunks(paths, 32, 2, 4)
    assert len([next(chunks), next(chunks)]) == 2
    with pytest.raises(UserError, match=r"05\.png: not a readable image"):
        next(chunks)


def test_no_thread_is_left_when_reading_breaks_off(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 20)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        for _ in read_chunks(paths, 32, 2, 4):
            raise KeyboardInterrupt
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("sides", "expected"), [([64, 64, 90], 64), ([500, 375, 375], 256), ([20], 32), ([101], 104)]
)
def test_the_native_resolution_is_the_most_common_shorter_side(
    tmp_path: Path, sides: list[int], expected: int
) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(len(sides))]
    for side, path in zip(sides, paths, strict=True):
        colours(side + 7, side).save(path)
    images = [ImageFile(path, tmp_path) for path in paths]
    split = Split(images, torch.zeros(len(paths), dtype=torch.int64))
    assert native_resolution(Dataset("set", tmp_path, ["a"], split, split)) == expected


@pytest.mark.parametrize(
    ("common", "stride", "expected"),
    [(120, 8, 120), (120, 16, 112), (256, 8, 256), (64, 14, 56), (32, 14, 42), (32, 64, 64)],
)
def test_the_default_resolution_is_a_multiple_of_the_stride(
    common: int, stride: int, expected: int
) -> None:
    assert default_resolution(common, stride) == expected
