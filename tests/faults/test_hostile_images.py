"""Whatever a file is that is called an image: it is decoded or refused by name, soon and small."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from faults import hostile_images as hostile
from faults.hostile_images import LONGEST, MOST_MEMORY
from PIL import Image

from helpers.linux_status import STATUS
from seit_cl.core.limits import MAX_PIXELS
from seit_cl.data import decoding
from seit_cl.data.decoding import BadImage, limit_pixels, load_image
from seit_cl.data.images import load_images
from seit_cl.data.listing import image_files, list_class


def test_a_small_sample_is_decoded_or_refused_by_name(tmp_path: Path) -> None:
    files = hostile.hostile_images(60, seed=int(os.environ.get("FAULTS_SEED", "0")), costly=False)
    outcomes = hostile.decode_all(files, tmp_path)
    assert outcomes.tracebacks == []
    assert outcomes.seconds < LONGEST
    assert {name.split(": ")[1] for name in outcomes.counts} == {"decoded", "refused"}


@pytest.mark.skipif(not STATUS.exists(), reason="reads the status of Linux processes")
@pytest.mark.slow
def test_many_files_take_no_more_time_and_memory_than_promised() -> None:
    outcomes = hostile.decode_apart(1000, 7)
    assert outcomes["tracebacks"] == []
    assert outcomes["seconds"] < LONGEST
    assert outcomes["megabytes"] - outcomes["megabytes_before"] < MOST_MEMORY


@pytest.mark.parametrize("kind", ["bomb", "many_scans"])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, kind: str) -> None:
    side = 20_000
    data = hostile.png(side, side, 8, 2, b"") if kind == "bomb" else b""
    path = tmp_path / "x.png"
    path.write_bytes(data or hostile.many_scans(np.random.default_rng(0)))
    with pytest.raises(BadImage, match=r"the limit of 67108864|scans of .* take too long"):
        load_images([path], 64)


def test_the_limit_of_pixels_can_be_moved(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "x.png")
    try:
        limit_pixels(59_999)
        with pytest.raises(BadImage, match=r"300 x 200 pixels are more than the limit of 59999"):
            load_image(tmp_path / "x.png", 32)
        limit_pixels(60_000)
        load_image(tmp_path / "x.png", 32)
    finally:
        limit_pixels(MAX_PIXELS)


def test_large_images_become_the_same_pixels_with_fewer_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    for make in (hostile.picture, hostile.palette, hostile.sixteen_bits, hostile.odd_mode):
        made = make(rng)
        data = made if isinstance(made, bytes) else hostile.encoded(made.convert("RGBA"), "PNG")
        (tmp_path / "x.png").write_bytes(data)
        small = load_image(tmp_path / "x.png", 24)
        with monkeypatch.context() as patch:
            patch.setattr(decoding, "UNCOUNTED", 0)
            patch.setattr(decoding, "ROWS", 7)
            assert np.array_equal(load_image(tmp_path / "x.png", 24), small)


def odd_entries(folder: Path) -> None:
    """A folder, a pipe, a socket, a loop and a broken link, all called images."""
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        place = os.getcwd()
        os.chdir(folder)  # the paths of sockets are short
        try:
            listener.bind("socket.jpg")
        finally:
            os.chdir(place)
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "to_pipe.jpg").symlink_to("pipe.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_only_regular_files_are_images_and_nothing_waits_for_a_pipe(tmp_path: Path) -> None:
    odd_entries(tmp_path)
    Image.new("RGB", (32, 32)).save(tmp_path / "good.jpg")
    (tmp_path / "link.jpg").symlink_to("good.jpg")
    names = [path.name for path in list_class(tmp_path)]
    links = ["broken.jpg", "device.jpg", "loop.jpg", "to_pipe.jpg"]
    assert names == sorted(["good.jpg", "link.jpg", *links])
    assert [path.name for path in image_files(tmp_path)] == names
    load_image(tmp_path / "link.jpg", 32)
    for name in [*links, "pipe.jpg", "folder.jpg", "socket.jpg"]:
        with pytest.raises(BadImage, match=rf"{name}: not a readable image \("):
            load_image(tmp_path / name, 32)
