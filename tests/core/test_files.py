"""Atomic files: whole or not at all, and what killed processes leave is deleted."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paused_process import process_at
from seit_cl.core.files import atomic_file, make_folder, sweep, temporary_folder, write_atomic

WRITES = """
import sys, time
from pathlib import Path
from seit_cl.core.files import atomic_file, temporary_folder
out = Path(sys.argv[1])
with atomic_file(out / "kept.bin"), temporary_folder(out / "data") as folder:
    (folder / "image").touch()
    print("writes", flush=True)
    time.sleep(60)
"""


def writer(folder: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing a file and a folder."""
    return process_at(WRITES, folder, "writes")


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_temporary_files_are_swept_when_their_process_is_dead_and_not_before(
    tmp_path: Path,
) -> None:
    process = writer(tmp_path)
    begun = sorted(os.listdir(tmp_path))
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == begun
    assert len(begun) == 2
    kill(process)
    sweep(tmp_path)
    assert os.listdir(tmp_path) == []


def test_only_the_temporary_files_of_a_name_are_swept_in_a_folder_of_the_user(
    tmp_path: Path,
) -> None:
    kill(writer(tmp_path))
    mine = [".note.123456789.tmp", ".data.tmp", "notes.txt", ".x.abc123-0123456.seit_cl-tmp"]
    for name in mine:
        (tmp_path / name).touch()
    sweep(tmp_path, "kept.bin")
    left = sorted(set(os.listdir(tmp_path)) - set(mine))
    assert len(left) == 1
    assert left[0].startswith(".data.")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(mine)


def test_files_of_earlier_versions_are_swept_by_their_process_in_our_own_folders(
    tmp_path: Path,
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".memory-1.bin.{ended.pid}.tmp").touch()
    living = f".memory-1.bin.{os.getpid()}.tmp"
    (tmp_path / living).touch()
    sweep(tmp_path)
    assert len(os.listdir(tmp_path)) == 2
    sweep(tmp_path, ours=True)
    assert os.listdir(tmp_path) == [living]


def test_files_of_another_machine_are_left_for_a_day(tmp_path: Path) -> None:
    foreign = tmp_path / ".memory.bin.000000-01234567.seit_cl-tmp"
    foreign.touch()
    sweep(tmp_path)
    assert foreign.exists()
    os.utime(foreign, (0, 0))
    sweep(tmp_path)
    assert not foreign.exists()


def test_links_and_pipes_that_look_like_temporary_files_do_no_harm(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    kill(writer(tmp_path))
    for entry in os.listdir(tmp_path):
        if entry.startswith(".kept"):
            (tmp_path / entry).unlink()
            (tmp_path / entry).symlink_to(kept)
        elif entry.startswith(".data"):
            os.mkfifo(tmp_path / entry.replace("data", "pipe"))
    sweep(tmp_path)
    assert kept.read_text() == "mine"
    assert os.listdir(tmp_path) == ["kept"]


def test_an_error_of_writing_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Not a directory") as error:
        write_atomic(tmp_path / "no", b"")
        write_atomic(tmp_path / "no" / "file", b"")
    assert error.value.filename == str(tmp_path / "no" / "file")
    with pytest.raises(OSError, match="full") as error, atomic_file(tmp_path / "file"):
        raise OSError(errno.ENOSPC, "full")
    assert error.value.filename == str(tmp_path / "file")
    assert os.listdir(tmp_path) == ["no"]


def test_an_error_of_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error, atomic_file(tmp_path / "file"):
        (tmp_path / "absent").read_bytes()
    assert error.value.filename == str(tmp_path / "absent")


def test_a_long_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120)
    write_atomic(path, "text")
    assert path.read_text() == "text"


def test_a_temporary_folder_that_is_not_renamed_is_removed(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / "new" / "a") as folder:
        (folder / "file").touch()
        folder.rename(tmp_path / "new" / "a")
    with temporary_folder(tmp_path / "new" / "b"):
        pass
    assert os.listdir(tmp_path / "new") == ["a"]
    make_folder(tmp_path / "new" / "c" / "d")
    assert (tmp_path / "new" / "c" / "d").is_dir()


def test_a_file_that_cannot_be_replaced_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    write_atomic(path, "old")
    with monkeypatch.context() as patched:
        patched.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            write_atomic(path, b"new")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["f"]
