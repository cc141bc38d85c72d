"""Locks of folders: one process at a time, and none for a dead one."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from helpers.paused_process import process_at
from seit_cl.core.locks import NAME, Held, Holder, holder_of, locked_folder, require_free

HOLDS = """
import sys, time
from pathlib import Path
from seit_cl.core.locks import locked_folder
with locked_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the lock of a folder."""
    return process_at(HOLDS, folder, "held")


def test_a_second_holder_is_told_who_the_first_is_and_since_when(tmp_path: Path) -> None:
    process = holder(tmp_path)
    expected = rf"process {process.pid} on {os.uname().nodename} \(since \d{{4}}-.*\) is making"
    try:
        with pytest.raises(Held, match=expected):
            require_free(tmp_path)
        with pytest.raises(Held, match=expected) as error, locked_folder(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()
    assert len(str(error.value).splitlines()) == 1


def test_the_lock_of_a_killed_process_is_taken_over_and_it_is_said(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / NAME).exists()
    require_free(tmp_path)
    with locked_folder(tmp_path) as lock:
        assert f"taken over from process {process.pid} on" in lock.about
        with pytest.raises(Held, match=f"process {os.getpid()} on"), locked_folder(tmp_path):
            pass
    assert not tmp_path.exists()  # nothing else was written there


def test_a_lock_leaves_nothing_behind_and_can_be_taken_again(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    for _ in range(2):
        with locked_folder(tmp_path) as lock:
            assert lock.about == ""
    assert os.listdir(tmp_path) == ["kept"]


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[" * 900, b'{"pid": "1\\n2"}', b"[1]"])
def test_a_damaged_lock_file_of_no_process_is_taken_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    (tmp_path / "kept").touch()
    with locked_folder(tmp_path) as lock:
        assert lock.about == ""


def test_a_folder_that_does_not_exist_is_free(tmp_path: Path) -> None:
    require_free(tmp_path / "none")


def test_a_holder_tells_others_how_far_it_is_and_how_long_it_still_takes(tmp_path: Path) -> None:
    with locked_folder(tmp_path) as lock:
        lock.report(0.5)
        holder = holder_of(tmp_path)
        assert isinstance(holder, Holder)
        assert (holder.pid, holder.share, holder.seconds_left) == (os.getpid(), 0.5, None)
    assert holder_of(tmp_path) is None


def test_the_pace_is_that_since_the_work_was_taken_up() -> None:
    holder = Holder(1, "host", "then", began=100, share_at_start=0.5, share=0.75, reported=160)
    assert holder.seconds_left == 60
