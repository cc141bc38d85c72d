"""Checkpoints: a commit happens whole or not at all, and a damaged one is named."""

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.random_entropy import random_model
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.experiment import checkpoint
from seit_cl.formats import FormatContext, build_format
from seit_cl.memory.buffer import ByteBudgetBuffer

CPU = torch.device("cpu")
CONTEXT = FormatContext(resolution=32, classes=4, codes=16, grid=(1, 4, 4), tokenizer="test")


class Grids:
    """Token grids filled with their sample's id modulo 16."""

    def tokens(self, ids: Tensor) -> Tensor:
        return (ids % 16).to(torch.int16)[:, None, None, None].repeat(1, 1, 4, 4)


def grown(memory: ByteBudgetBuffer | None = None) -> ByteBudgetBuffer:
    """A memory with four more samples in it."""
    if memory is None:
        memory = ByteBudgetBuffer(1000, build_format("tokens", CONTEXT), CONTEXT)
    ids = torch.arange(4) + memory.selection.offered
    memory.offer(Samples(ids, ids % 4, Grids()))  # type: ignore[arg-type]  # no pixels are read
    return memory


def content(memory: ByteBudgetBuffer | None) -> list[int]:
    assert memory is not None
    return sorted(memory.by_ids(torch.arange(len(memory))).inputs[:, 0, 0, 0].tolist())


def restored(run_dir: Path) -> tuple[dict[str, Any], ByteBudgetBuffer | None]:
    commit = checkpoint.restore(run_dir, None, CPU)
    assert commit is not None
    return commit


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A run's folder after experience 0, with number 7 and a memory of samples 0..3."""
    checkpoint.commit(tmp_path, 0, grown(), {"number": 7})
    return tmp_path


def test_a_commit_comes_back_with_its_memory(committed: Path) -> None:
    state, memory = restored(committed)
    assert (state["experience"], state["number"], content(memory)) == (0, 7, [0, 1, 2, 3])


def test_an_entropy_coded_memory_is_restored_with_the_tokenizers_model(tmp_path: Path) -> None:
    model = random_model(CONTEXT.codes, tokenizer=CONTEXT.tokenizer)
    context = replace(CONTEXT, entropy_model=lambda: model)
    fmt = build_format("tokens:coder=context", context)
    checkpoint.commit(tmp_path, 0, grown(ByteBudgetBuffer(1000, fmt, context)), {})
    commit = checkpoint.restore(tmp_path, None, CPU, lambda: model)
    assert commit is not None
    assert content(commit[1]) == [0, 1, 2, 3]
    with pytest.raises(UserError, match="no probabilities of the codes of tokenizer test"):
        checkpoint.restore(tmp_path, None, CPU)


def test_a_folder_without_a_commit_restores_nothing(tmp_path: Path) -> None:
    assert checkpoint.restore(tmp_path, None, CPU) is None


def test_a_run_without_memory_commits_its_state_alone(tmp_path: Path) -> None:
    checkpoint.commit(tmp_path, 2, None, {"weights": torch.arange(3)})
    state, memory = restored(tmp_path)
    assert memory is None
    assert state["experience"] == 2
    assert torch.equal(state["weights"], torch.arange(3))
    assert os.listdir(tmp_path) == [checkpoint.NAME]


def test_the_next_commit_replaces_the_previous_one(committed: Path) -> None:
    checkpoint.commit(committed, 1, grown(restored(committed)[1]), {"number": 8})
    state, memory = restored(committed)
    assert (state["experience"], state["number"], len(content(memory))) == (1, 8, 8)
    assert sorted(os.listdir(committed)) == [checkpoint.NAME, "memory-1.bin"]


def test_a_commit_interrupted_after_its_memory_leaves_the_previous_one(committed: Path) -> None:
    memory = grown(restored(committed)[1])
    with pytest.raises((pickle.PicklingError, AttributeError)):
        checkpoint.commit(committed, 1, memory, {"number": lambda: 8})  # nothing can write a lambda
    assert (committed / "memory-1.bin").exists()
    state, memory = restored(committed)
    assert (state["experience"], state["number"], content(memory)) == (0, 7, [0, 1, 2, 3])


def test_a_full_disk_leaves_the_previous_commit(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    memory = grown(restored(committed)[1])
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(os, "fsync", full)
        checkpoint.commit(committed, 1, memory, {"number": 8})
    assert restored(committed)[0]["number"] == 7
    assert sorted(os.listdir(committed)) == [checkpoint.NAME, "memory-0.bin"]


@pytest.mark.parametrize("stray", ["memory-0.bin", "memory-2.bin"])
def test_a_memory_that_the_commit_does_not_name_never_becomes_the_final_one(
    committed: Path, stray: str
) -> None:
    memory = grown(restored(committed)[1])
    checkpoint.commit(committed, 1, memory, {})
    # A run killed after its last commit, or during the next one, leaves such a file.
    grown().save(committed / stray)
    restored(committed)
    checkpoint.name_memory(committed)
    checkpoint.close(committed)
    assert os.listdir(committed) == ["memory.bin"]
    assert content(ByteBudgetBuffer.load(committed / "memory.bin")) == content(memory)


def test_closing_that_was_interrupted_can_be_done_again(committed: Path) -> None:
    (committed / "memory-0.bin").rename(committed / "memory.bin")
    assert content(restored(committed)[1]) == [0, 1, 2, 3]
    checkpoint.name_memory(committed)
    checkpoint.close(committed)
    assert os.listdir(committed) == ["memory.bin"]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _another_memory(path: Path) -> None:
    grown(grown()).save(path)


def _final_of_another_run(path: Path) -> None:
    path.unlink()
    grown(grown()).save(path.with_name("memory.bin"))


@pytest.mark.parametrize("harm", [_cut, _flip, _another_memory, Path.unlink, _final_of_another_run])
def test_a_memory_tampered_with_or_missing_is_named(
    committed: Path, harm: Callable[[Path], None]
) -> None:
    harm(committed / "memory-0.bin")
    with pytest.raises(
        UserError, match=r"memory-0\.bin: (missing|changed).*delete .* to start over"
    ) as error:
        checkpoint.restore(committed, None, CPU)
    assert len(str(error.value).splitlines()) == 1


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.made}'",)


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a checkpoint at all\n" * 10)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _evil_torch_file(path: Path) -> None:
    torch.save(
        {"experience": 0, "kind": checkpoint.KIND, "model": Evil(path.with_name("made"))}, path
    )


def _evil_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Evil(path.with_name("made")), protocol=2))


def _someone_elses(path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, path)


def _a_tensor(path: Path) -> None:
    torch.save(torch.zeros(2), path)


@pytest.mark.parametrize(
    "harm", [_cut, _garbage, _empty, _evil_torch_file, _evil_pickle, _someone_elses, _a_tensor]
)
def test_a_file_that_is_no_checkpoint_is_named_and_runs_no_code(
    committed: Path, harm: Callable[[Path], None]
) -> None:
    harm(committed / checkpoint.NAME)
    with pytest.raises(
        UserError, match=r"checkpoint\.pt: (not a |damaged|holds a pickled).*delete .* to start"
    ) as error:
        checkpoint.restore(committed, None, CPU)
    assert len(str(error.value).splitlines()) == 1
    assert not (committed / "made").exists()
