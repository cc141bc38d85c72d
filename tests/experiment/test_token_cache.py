"""The token cache: images are tokenized once, and a file is written whole or not at all."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from helpers.tokenizer_samples import from_file, untrained
from seit_cl.core.errors import UserError
from seit_cl.data.folder import open_folder
from seit_cl.data.fractals import write_fractals
from seit_cl.data.images import load_images
from seit_cl.experiment.token_cache import cached_tokens, contents_of
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer


class Counting:
    """A real tokenizer that counts the images it encodes; it breaks off after `last` of them."""

    def __init__(self, inner: VQAETokenizer, last: float = float("inf")) -> None:
        self.inner = inner
        self.last = last
        self.images = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def encode(self, images: Tensor) -> Tensor:
        self.images += len(images)
        if self.images > self.last:
            raise KeyboardInterrupt
        return self.inner.encode(images)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image folder of 2 classes with 3 train and 1 val images each, and an empty cache."""
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path / "cache"))
    return write_fractals(tmp_path / "fractals", 2, 3, 1, 32)


def files(root: Path) -> list[Path]:
    """The files of the token cache."""
    return sorted((root.parent / "cache" / "tokens").glob("*"))


def address_in(file: Path, address: int) -> bool:
    """Return True if an address of this process belongs to a file that it maps."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, _, end = line.split()[0].partition("-")
        if line.endswith(str(file)) and int(start, 16) <= address < int(end, 16):
            return True
    return False


def test_tokens_are_those_of_the_images_in_the_datasets_order(root: Path) -> None:
    dataset = open_folder(root)
    tokenizer = from_file()
    reported: list[int] = []
    train, val = cached_tokens(dataset, tokenizer, 32, reported.append)
    assert torch.equal(train, tokenizer.encode(load_images(dataset.train.images, 32)))
    assert torch.equal(val, tokenizer.encode(load_images(dataset.val.images, 32)))
    assert sum(reported) == 8


def test_the_second_time_nothing_is_tokenized(root: Path) -> None:
    first = Counting(from_file())
    second = Counting(from_file())
    written = cached_tokens(open_folder(root), first, 32)
    read = cached_tokens(open_folder(root), second, 32)
    assert (first.images, second.images) == (8, 0)
    for expected, tokens in zip(written, read, strict=True):
        assert torch.equal(tokens, expected)
        assert tokens.dtype == expected.dtype


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system lists no mappings")
def test_tokens_stay_in_the_file_from_the_first_time_on(root: Path) -> None:
    tokens, _ = cached_tokens(open_folder(root), from_file(), 32)
    (file,) = files(root)
    assert address_in(file, tokens.data_ptr())


def test_a_changed_image_makes_a_new_file(root: Path) -> None:
    cached_tokens(open_folder(root), from_file(), 32)
    os.utime(str(open_folder(root).val.images[0]), (1, 1))
    counting = Counting(from_file())
    cached_tokens(open_folder(root), counting, 32)
    assert counting.images == 8
    assert len(files(root)) == 2


def test_another_tokenizer_or_resolution_makes_a_new_file(root: Path) -> None:
    dataset = open_folder(root)
    for tokenizer, resolution in ((untrained(0), 32), (untrained(1), 32), (untrained(0), 40)):
        assert cached_tokens(dataset, tokenizer, resolution)[0].shape[-1] == resolution // 8
    assert len(files(root)) == 3


@pytest.mark.parametrize("last", [0, 6])
def test_an_interrupted_tokenization_leaves_no_file(root: Path, last: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_tokens(open_folder(root), Counting(from_file(), last), 32)
    assert files(root) == []
    assert len(cached_tokens(open_folder(root), from_file(), 32)[0]) == 6


def test_a_failed_write_names_the_folder_and_leaves_no_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=r"cache/tokens: .*No space left.*SEIT_CL_CACHE"):
        cached_tokens(open_folder(root), from_file(), 32)
    assert files(root) == []


def test_a_cache_that_is_no_folder_is_named_before_anything_is_tokenized(root: Path) -> None:
    (root.parent / "cache").write_text("a file")
    counting = Counting(from_file())
    with pytest.raises(UserError, match="cache/tokens: the token cache cannot be written"):
        cached_tokens(open_folder(root), counting, 32)
    assert counting.images == 0


def other_picture(image: Path) -> None:
    """Replace an uncompressed PNG by another of the same size, with the same times."""
    times = image.stat()
    with Image.open(image) as old:
        turned = old.transpose(Image.Transpose.ROTATE_180)
    turned.save(image, compress_level=0)
    assert image.stat().st_size == times.st_size
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.fixture
def uncompressed(root: Path) -> Path:
    """The folder with files whose size does not depend on their picture."""
    for path in root.glob("*/*/*.png"):
        with Image.open(path) as picture:
            pixels = picture.copy()
        pixels.save(path, compress_level=0)
    return root


def test_another_image_of_the_same_name_size_and_time_is_noticed(
    uncompressed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = open_folder(uncompressed)
    old, _ = cached_tokens(dataset, from_file(), 32)
    contents = contents_of(dataset, from_file(), 32)
    old = old.clone()
    image = Path(str(dataset.train.images[2]))
    other_picture(image)
    assert open_folder(uncompressed).manifest == dataset.manifest
    new, _ = cached_tokens(open_folder(uncompressed), from_file(), 32)
    (line,) = caplog.messages
    assert re.search(f"{image.name}: another image .* tokenized again", line)
    assert torch.equal(new, from_file().encode(load_images(dataset.train.images, 32)))
    assert not torch.equal(new, old)
    assert contents_of(dataset, from_file(), 32) != contents


def test_a_code_outside_the_codebook_makes_a_file_again(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = open_folder(root)
    cached_tokens(dataset, from_file(), 32)
    (file,) = files(root)
    tokens = torch.full((6, 1, 4, 4), 1024, dtype=torch.int16)
    file.unlink()
    val = tokens[:2].clone()
    file.write_bytes(save({"train": tokens, "val": val}))  # as an earlier version would
    train, _ = cached_tokens(dataset, from_file(), 32)
    assert "damaged; the images are tokenized again" in caplog.text
    assert int(train.max()) < 1024


def test_a_file_of_an_earlier_version_is_given_a_digest_and_it_is_said_once(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = [tokens.clone() for tokens in cached_tokens(open_folder(root), from_file(), 32)]
    (file,) = files(root)
    file.unlink()
    file.write_bytes(save(dict(zip(("train", "val"), expected, strict=True))))
    counting = Counting(from_file())
    for _ in range(2):
        read = cached_tokens(open_folder(root), counting, 32)
        assert [torch.equal(*both) for both in zip(read, expected, strict=True)] == [True, True]
        (line,) = caplog.messages
        assert line.endswith("without a digest; it is given one")
    assert counting.images == 0
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    cached_tokens(open_folder(root), counting, 32)
    assert counting.images > 0


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda data: b"",
    "cut": lambda data: data[:-1],
    "overwritten": lambda data: bytes(len(data)),
    "without val": lambda data: save({"train": torch.zeros(6, 1, 4, 4, dtype=torch.int16)}),
    "of fewer images": lambda data: save(
        {k: torch.zeros(1, 1, 4, 4, dtype=torch.int16) for k in ("train", "val")}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_again(
    root: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cached = cached_tokens(open_folder(root), from_file(), 32)
    train, val = (tokens.clone() for tokens in cached)  # these are in the file that is damaged
    (file,) = files(root)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    again = cached_tokens(open_folder(root), from_file(), 32)
    (line,) = caplog.messages
    assert line.endswith(".safetensors: damaged; the images are tokenized again")
    assert torch.equal(again[0], train)
    assert torch.equal(again[1], val)
    counting = Counting(from_file())
    cached_tokens(open_folder(root), counting, 32)
    assert counting.images == 0
