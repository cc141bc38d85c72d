"""Images that --skip-bad-images accepts decode; they are decoded once, for their tokens."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from faults.hostile_images import encoded, headers_only, picture

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data import images
from seit_cl.data.folder import list_folder
from seit_cl.data.token_file import open_token_file
from seit_cl.experiment import readable
from seit_cl.experiment.run_data import RunData
from seit_cl.tokenizers._encoding import NO_CODE
from seit_cl.tokenizers.commands import _parts
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a JPEG whose header and end are whole, a PNG with a changed bit, and a loop."""
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True)
            for i in range(2):
                (folder / f"{i}.jpg").write_bytes(encoded(picture(rng), "JPEG"))
    data = tmp_path / "data"
    (data / "train/cat/bad.jpg").write_bytes(headers_only(rng))
    (data / "val/dog/bad.png").write_bytes(changed(encoded(picture(rng), "PNG")))
    (data / "train/dog/loop.jpg").symlink_to("loop.jpg")
    return data


def changed(data: bytes) -> bytes:
    """The file with another bit in its middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


BAD = ("train/cat/bad.jpg", "train/dog/loop.jpg", "val/dog/bad.png")


@pytest.mark.parametrize("learner", ["tokens", "pixels"])
def test_images_that_do_not_decode_are_left_out_and_later_runs_know_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, learner: str
) -> None:
    config = RunConfig(data_root=root, skip_bad_images=True, learner=learner)  # type: ignore[arg-type]
    data = RunData(config)
    assert data.dataset.skipped == tuple(str(root / name) for name in BAD)
    everything = torch.arange(4)
    if learner == "tokens":
        assert data.test_tokens.min() > NO_CODE
        assert len(data.tokens(everything)) == 4
    else:
        assert torch.equal(data.pixels(everything), data.read(everything))

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(images, "load_image", refuse)
    monkeypatch.setattr(readable, "find_bad", refuse)
    again = RunData(config)
    assert again.dataset.skipped == data.dataset.skipped
    assert again.identity == data.identity
    if learner == "tokens":
        assert torch.equal(again.test_tokens, data.test_tokens)


def test_without_the_option_a_bad_image_is_named_with_the_advice(root: Path) -> None:
    (root / "train/dog/loop.jpg").unlink()
    with pytest.raises(UserError, match=r"bad\.(jpg|png): not a readable.*--skip-bad-images"):
        _ = RunData(RunConfig(data_root=root)).test_tokens


def test_what_was_found_is_found_again_where_its_file_is_damaged(root: Path) -> None:
    config = RunConfig(data_root=root, skip_bad_images=True, learner="pixels")
    before = RunData(config).dataset.skipped
    (stored,) = (root.parent / "cache" / "readable").iterdir()
    for text in (stored.read_text().replace("[2]", "[1]"), "[" * 100_000, "{}"):
        stored.write_text(text)
        assert RunData(config).dataset.skipped == before


def test_a_class_left_without_an_image_is_an_error(root: Path) -> None:
    for name in ("0.jpg", "1.jpg"):
        (root / "val/cat" / name).write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match="class without readable images: cat"):
        RunData(RunConfig(data_root=root, skip_bad_images=True))


def test_encode_leaves_the_same_images_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_parts, "PART", 3)
    options = Encode(root, tmp_path / "x.safetensors", workers=1, device="cpu")
    (root / "train/dog/loop.jpg").unlink()
    with pytest.raises(UserError, match="not a readable image"):
        encode_command(options)
    (root / "train/dog/loop.jpg").symlink_to("loop.jpg")
    options = Encode(
        root, tmp_path / "y.safetensors", workers=1, device="cpu", skip_bad_images=True
    )
    encode_command(options)
    file = open_token_file(tmp_path / "y.safetensors")
    for name in BAD:
        os.unlink(root / name)
    data = RunData(RunConfig(data_root=root))
    assert torch.equal(file.tokens["train"][0:4], data.tokens(torch.arange(4)))
    assert torch.equal(file.labels["val"], list_folder(root).val.labels)
