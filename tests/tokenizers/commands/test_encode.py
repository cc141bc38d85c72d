"""`tokenize encode`: one token file, by any number of processes and after any interruption."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.tokenize_command import command_line
from helpers.tokenizer_samples import bundled
from seit_cl.core.errors import UserError
from seit_cl.data.folder import open_folder
from seit_cl.data.images import load_images
from seit_cl.data.token_file import open_token_file
from seit_cl.tokenizers.commands import _parts
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: Patch) -> None:
    monkeypatch.setattr(_parts, "PART", 20)


def encoded(root: Path, out: Path, **options: object) -> bytes:
    """Encode the folder in this process, and return the bytes of the token file."""
    encode_command(Encode(root, out, **{"workers": 1, **options}))  # type: ignore[arg-type]
    return out.read_bytes()


def test_the_file_has_the_tokens_and_labels_of_the_images(fractals: Path, tmp_path: Path) -> None:
    encoded(fractals, tmp_path / "x.safetensors")
    file = open_token_file(tmp_path / "x.safetensors")
    dataset = open_folder(fractals)
    for name, split in (("train", dataset.train), ("val", dataset.val)):
        assert torch.equal(
            file.tokens[name].whole(), bundled().encode(load_images(split.images, 64))
        )
        assert torch.equal(file.labels[name], split.labels)
    about = file.metadata
    assert about.classes == dataset.classes
    assert (about.tokenizer, about.stride) == (bundled().identity, 8)
    assert about.notes == {"images": dataset.identity, "resolution": "64"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_another_side_gives_another_grid(fractals: Path, tmp_path: Path) -> None:
    encoded(fractals, tmp_path / "x.safetensors", resolution=32)
    assert open_token_file(tmp_path / "x.safetensors").grid == (1, 4, 4)


@pytest.mark.slow
def test_processes_give_the_same_file(fractals: Path, tmp_path: Path) -> None:
    alone = encoded(fractals, tmp_path / "a.safetensors")
    assert encoded(fractals, tmp_path / "b.safetensors", workers=2) == alone


@pytest.mark.timeout(60)
def test_ranks_share_the_parts_and_the_first_joins_them(
    fractals: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    alone = encoded(fractals, tmp_path / "a.safetensors")
    out = tmp_path / "b.safetensors"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    encode_command(Encode(fractals, out, workers=1))
    written = sorted(path.name for path in (tmp_path / "b.safetensors.parts").glob("*.npy"))
    assert written == ["train-000000020.npy", "train-000000060.npy", "val-000000020.npy"]
    assert not out.exists()
    monkeypatch.setenv("RANK", "0")
    assert encoded(fractals, out) == alone
    assert not (tmp_path / "b.safetensors.parts").exists()


@pytest.mark.slow
def test_under_torchrun_the_file_is_that_of_one_process(fractals: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.safetensors"
    _, *tokenize = command_line("encode", "--data-root", fractals, "--out", out, "--workers", 1)
    two_ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended = subprocess.run(
        [sys.executable, *two_ranks, *tokenize],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("wrote") == 1
    assert out.read_bytes() == encoded(fractals, tmp_path / "a.safetensors")


def test_a_rank_that_writes_no_parts_is_named(
    fractals: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(_parts.wait_for_parts, "__defaults__", (0.1,))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UserError, match=r"train-000000020\.npy: not written by its rank"):
        encoded(fractals, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_an_interrupted_command_resumes_from_its_parts(
    fractals: Path, tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = encoded(fractals, tmp_path / "a.safetensors")
    out = tmp_path / "x.safetensors"
    started: list[str] = []
    write = _parts.Part.write

    def write_until_interrupted(part: _parts.Part, *arguments: Any) -> int:
        started.append(part.file.name)
        if len(started) == 3:
            raise KeyboardInterrupt
        return write(part, *arguments)

    monkeypatch.setattr(_parts.Part, "write", write_until_interrupted)
    with pytest.raises(SystemExit) as end:
        encoded(fractals, out)
    assert end.value.code == 130
    assert "resumes from the parts" in capsys.readouterr().out
    assert not out.exists()
    assert encoded(fractals, out) == alone
    assert len(started) == 3 + 4  # of six parts, two were finished
    assert started[2] == started[3]


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_too(fractals: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    options = ["--workers", 2, "--resolution", 256]
    process = subprocess.Popen(
        command_line("encode", "--data-root", fractals, "--out", out, *options),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not (tmp_path / "x.safetensors.parts" / "parts.json").exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "resumes from the parts" in printed.replace("\n", " ")
    assert not out.exists()


def test_parts_of_something_else_are_refused(fractals: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x.safetensors.parts"
    folder.mkdir()
    (folder / "parts.json").write_text("{}")
    with pytest.raises(UserError, match=r"x\.safetensors\.parts: has parts of other images"):
        encoded(fractals, tmp_path / "x.safetensors")


def test_a_damaged_part_is_named(fractals: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    encode_command(Encode(fractals, tmp_path / "x.safetensors", workers=1))
    (tmp_path / "x.safetensors.parts" / "val-000000020.npy").write_bytes(b"")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UserError, match=r"val-000000020\.npy: damaged"):
        encoded(fractals, tmp_path / "x.safetensors")


def test_images_are_decoded_ahead_in_the_order_of_the_paths(
    fractals: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(_parts, "CHUNK", 3)
    paths = open_folder(fractals).train.images[:8]
    assert _parts.Part(paths, tmp_path / "x.npy", 64).write(bundled()) == 8
    expected = bundled().encode(load_images(paths, 64)).numpy()
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"out": "x.bin"}, "--out .*must end in .safetensors"),
        ({"out": "absent/x.safetensors"}, "--out .*absent"),
        ({"workers": -1}, "--workers -1"),
        ({"resolution": 60}, "--resolution 60"),
        ({"data_root": "absent"}, "absent: no such"),
        ({"tokenizer": "absent.safetensors"}, "absent.safetensors"),
    ],
)
def test_bad_input_is_one_line(
    options: dict[str, object], words: str, fractals: Path, tmp_path: Path
) -> None:
    values = {"data_root": fractals, "out": "x.safetensors"} | options
    for name in ("data_root", "out"):
        values[name] = tmp_path / str(values[name])
    with pytest.raises(UserError, match=words) as refused:
        encode_command(Encode(**values))  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
