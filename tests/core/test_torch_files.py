"""Files of torch.save: a pickled object is called one, and damage is called damage."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seit_cl.core.errors import UserError
from seit_cl.core.torch_files import load_tensors


class Evil:
    """Unpickling it makes a folder in the working directory."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("made",)


class Plain:
    """An object without a trick."""


def evil_files(folder: Path) -> list[Path]:
    """Files of several kinds that hold an object."""
    torch.save({"model": Evil()}, folder / "zip")
    torch.save({"model": Evil()}, folder / "legacy", _use_new_zipfile_serialization=False)
    torch.save({"model": Plain()}, folder / "plain", pickle_protocol=4)
    np.save(folder / "array.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    for protocol in range(6):
        raw = pickle.dumps({"weights": [1.0], "model": Evil()}, protocol=protocol)
        (folder / f"raw{protocol}").write_bytes(raw)
    (folder / "instance").write_bytes(b"(S'made'\nios\nmkdir\n.")
    (folder / "called").write_bytes(b"(cos\nmkdir\nS'made'\no.")
    return sorted(path for path in folder.iterdir() if path.name != "array.npy")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickled_object_is_called_one_and_never_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in evil_files(tmp_path):
        with pytest.raises(UserError, match=f"{path.name}: holds a pickled object") as error:
            load_tensors(path)
        assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "made").exists()


def test_a_damaged_file_of_tensors_is_not_called_an_object(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(4), "names": ["a"]}, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    damages = [whole[:-30], whole[: len(whole) // 2], b"", b"hello world" * 30]
    for damage in damages:
        (tmp_path / "damaged").write_bytes(damage)
        with pytest.raises(UserError, match=r"no checkpoint of .*, or damaged"):
            load_tensors(tmp_path / "damaged")
    assert torch.equal(load_tensors(tmp_path / "whole")["weight"], torch.zeros(4))


def test_a_changed_number_differs_from_the_checksum_of_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"weights": torch.full((100,), 7, dtype=torch.int64)}, path)
    data = path.read_bytes()
    place = data.index(b"\7" + bytes(7) + b"\7")
    path.write_bytes(data[:place] + b"\6" + data[place + 1 :])
    with pytest.raises(UserError, match=r"weights\.pt: .*data/0 in it differs from its CRC-32"):
        load_tensors(path)


def test_an_archive_without_checksums_is_read(tmp_path: Path) -> None:
    try:
        torch.serialization.set_crc32_options(False)
        torch.save({"weights": torch.arange(100)}, tmp_path / "weights.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(load_tensors(tmp_path / "weights.pt")["weights"], torch.arange(100))
