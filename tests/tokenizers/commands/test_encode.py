"""`tokenize encode`: the tokens of the images, whoever made them and however often it was interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.tokenizer_samples import bundled
from seit_cl.core.errors import UserError
from seit_cl.data.folder import open_folder
from seit_cl.data.images import load_images
from seit_cl.data.token_file import open_token_file
from seit_cl.tokenizers.commands import encode
from seit_cl.tokenizers.commands.encode import Encode, encode_command

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: Patch) -> None:
    monkeypatch.setattr(encode, "PART", 20)


def made(root: Path, out: Path, **options: object) -> bytes:
    """The bytes of a token file of the folder."""
    encode_command(Encode(root, out, **{"workers": 1, **options}))  # type: ignore[arg-type]
    return out.read_bytes()


def test_the_file_has_the_tokens_and_labels_of_the_images(fractals: Path, tmp_path: Path) -> None:
    made(fractals, tmp_path / "x.safetensors")
    file, dataset = open_token_file(tmp_path / "x.safetensors"), open_folder(fractals)
    for name, split in (("train", dataset.train), ("val", dataset.val)):
        assert torch.equal(file.tokens[name], bundled().encode(load_images(split.paths, 64)))
        assert torch.equal(file.labels[name], split.labels)
    assert file.about.classes == dataset.classes and file.about.tokenizer == bundled().identity
    assert (
        file.about.notes == {"images": dataset.identity, "resolution": "64"}
        and file.about.stride == 8
    )
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_another_side_gives_another_grid(fractals: Path, tmp_path: Path) -> None:
    made(fractals, tmp_path / "x.safetensors", resolution=32)
    assert open_token_file(tmp_path / "x.safetensors").grid == (1, 4, 4)


@pytest.mark.slow
def test_processes_give_the_same_file(fractals: Path, tmp_path: Path) -> None:
    assert made(fractals, tmp_path / "a.safetensors") == made(
        fractals, tmp_path / "b.safetensors", workers=2
    )


@pytest.mark.timeout(60)
def test_ranks_share_the_parts_and_the_first_joins_them(
    fractals: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    alone, out = made(fractals, tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    encode_command(Encode(fractals, out, workers=1))
    there = sorted(path.name for path in (tmp_path / "b.safetensors.parts").glob("*.npy"))
    assert (
        there == ["train-000000020.npy", "train-000000060.npy", "val-000000020.npy"]
        and not out.exists()
    )
    monkeypatch.setenv("RANK", "0")
    assert made(fractals, out) == alone and not (tmp_path / "b.safetensors.parts").exists()


@pytest.mark.slow
def test_under_torchrun_the_file_is_that_of_one_process(fractals: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.safetensors"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "-m",
            "seit_cl.tokenize",
            "encode",
            "--data-root",
            str(fractals),
            "--out",
            str(out),
            "--workers",
            "1",
        ],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == 1 and out.read_bytes() == made(
        fractals, tmp_path / "a.safetensors"
    )


def test_a_rank_that_does_not_deliver_is_named(
    fractals: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(encode.wait, "__defaults__", (0.1,))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UserError, match=r"train-000000020\.npy: not written by its rank"):
        made(fractals, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_interrupted_it_goes_on_from_its_parts(
    fractals: Path, tmp_path: Path, monkeypatch: Patch, capsys
) -> None:  # type: ignore[no-untyped-def]
    alone, out, written = made(fractals, tmp_path / "a.safetensors"), tmp_path / "x.safetensors", []
    write = encode.Part.write

    def counted(part: encode.Part, *given: object) -> int:
        written.append(part.file.name)
        if len(written) == 3:
            raise KeyboardInterrupt
        return write(part, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(encode.Part, "write", counted)
    with pytest.raises(SystemExit) as end:
        made(fractals, out)
    assert (
        end.value.code == 130
        and "goes on from the parts" in capsys.readouterr().out
        and not out.exists()
    )
    assert made(fractals, out) == alone
    assert len(written) == 3 + 4 and written[2] == written[3]  # six parts, two of which were there


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_too(fractals: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "seit_cl.tokenize",
            "encode",
            "--data-root",
            str(fractals),
            "--out",
            str(out),
            "--workers",
            "2",
            "--resolution",
            "256",
        ],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not (tmp_path / "x.safetensors.parts" / "parts.json").exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert (
        process.returncode == 130
        and "goes on from the parts" in said.replace("\n", " ")
        and not out.exists()
    )


def test_parts_of_something_else_are_refused(fractals: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x.safetensors.parts"
    folder.mkdir()
    (folder / "parts.json").write_text("{}")
    with pytest.raises(UserError, match=r"x\.safetensors\.parts: has parts of other images"):
        made(fractals, tmp_path / "x.safetensors")


def test_a_damaged_part_is_named(fractals: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    encode_command(Encode(fractals, tmp_path / "x.safetensors", workers=1))
    (tmp_path / "x.safetensors.parts" / "val-000000020.npy").write_bytes(b"")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UserError, match=r"val-000000020\.npy: cannot be read"):
        made(fractals, tmp_path / "x.safetensors")


def test_images_are_decoded_ahead_in_the_order_of_the_paths(
    fractals: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(encode, "CHUNK", 3)
    paths = open_folder(fractals).train.paths[:8]
    assert encode.Part(paths, tmp_path / "x.npy", 64).write(bundled().encode) == 8
    assert np.array_equal(
        np.load(tmp_path / "x.npy"), bundled().encode(load_images(paths, 64)).numpy()
    )


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
    given = {"data_root": fractals, "out": "x.safetensors"} | options
    given |= {name: tmp_path / str(given[name]) for name in ("data_root", "out")}
    with pytest.raises(UserError, match=words) as refused:
        encode_command(Encode(**given))  # type: ignore[arg-type]
    assert "\n" not in str(refused.value) and list(tmp_path.iterdir()) == []
