"""Shared tensors: processes map one copy, and none changes what the others see."""

import multiprocessing
from pathlib import Path

import pytest
import torch

from helpers.processes import ROLLUP, read_and_write
from seit_cl.core.errors import UserError
from seit_cl.core.shared_tensors import SharedTensor

MB = 64


@pytest.mark.filterwarnings("error")
@pytest.mark.skipif(not ROLLUP.exists(), reason="the system does not say what a process shares")
def test_another_process_maps_the_same_memory_and_cannot_change_it() -> None:
    shared = SharedTensor.of(torch.ones(MB * 500_000, dtype=torch.int16))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=read_and_write, args=(theirs, shared))
    process.start()
    total, kilobytes = ours.recv()
    process.join()
    assert total == MB * 500_000
    assert kilobytes["Rss"] > 900 * MB  # all of it is mapped
    assert kilobytes["Pss"] < 600 * MB  # and half of it counts, since this process has it too
    assert bool((shared.tensor == 1).all())


def test_nothing_is_left_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path))
    shared = SharedTensor((2, 3), torch.uint8)
    assert shared.tensor.shape == (2, 3)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"cache: 6 bytes .* cannot be written .*SEIT_CL_CACHE"):
        SharedTensor((2, 3), torch.uint8)
