"""Errors of the machine: one line that names the file and says what to do, and exit code 2."""

import errno
import os
import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from seit_cl.core.cli import run_command
from seit_cl.core.files import write_atomic
from seit_cl.core.system_errors import system_error_line


def fail(error: BaseException) -> None:
    raise error


def line_of(error: BaseException, capsys: pytest.CaptureFixture[str]) -> str:
    """The line that a command prints."""
    with pytest.raises(SystemExit) as end:
        run_command(lambda: fail(error))
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some or choose another folder"),
        (errno.EDQUOT, "free some or choose another folder"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "choose a folder that can be written"),
        (errno.EACCES, "change its permissions"),
        (errno.EIO, "the same command goes on"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ELOOP, "--debug shows where"),
    ],
)
def test_an_error_of_a_file_names_it_and_says_what_to_do(
    number: int, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = line_of(OSError(number, os.strerror(number), "runs/memory-1.bin"), capsys)
    assert line.startswith("error: runs/memory-1.bin: ")
    assert remedy in line


def test_a_home_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    line = line_of(OSError(errno.EACCES, "Permission denied", "~/.avalanche"), capsys)
    assert line == "error: HOME: this user has no home folder (Permission denied); set HOME to one"


def test_names_that_are_no_text_or_move_the_cursor_stay_in_the_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = os.fsdecode(b"a\xff\r\x1b[2K\nb")
    line = line_of(OSError(errno.EIO, "broken", name), capsys)
    assert "\x1b" not in line
    assert "[2K" in line


def test_memory_that_has_ended_is_said_whoever_raises_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors: list[BaseException] = [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried"),
    ]
    for make in (lambda: np.zeros(2**60, np.uint8), lambda: torch.zeros(2**60)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            make()
        errors.append(caught.value)
    for error in errors:
        assert "not enough memory" in line_of(error, capsys)


def test_a_bug_keeps_its_traceback() -> None:
    for bug in (ValueError("x"), RuntimeError("shape"), BrokenPipeError(errno.EPIPE, "worker")):
        with pytest.raises(type(bug)):
            run_command(lambda bug=bug: fail(bug))  # type: ignore[misc]
    assert system_error_line(RuntimeError("shape")) is None


def test_debug_keeps_the_traceback_of_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []

    def command() -> None:
        words[:] = sys.argv
        raise OSError(errno.ENOSPC, "full", "file")

    monkeypatch.setattr(sys, "argv", ["tokenize", "--debug", "list"])
    with pytest.raises(OSError, match="full"):
        run_command(command)
    assert words == ["tokenize", "list"]


def test_a_file_size_limit_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom seit_cl.core.cli import run_command\n"
        "from seit_cl.core.files import write_atomic\n"
        "run_command(lambda: write_atomic(sys.argv[1], bytes(100_000)))"
    )
    path = tmp_path / "memory.bin"
    write_atomic(path, "old")
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {path}: ")
    assert "ulimit -f" in line
    assert os.listdir(tmp_path) == ["memory.bin"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("written", [["--out", ""], ["--out="]])
@pytest.mark.parametrize("module", ["run", "compare", "tune", "density", "report"])
def test_an_empty_out_is_refused(
    module: str,
    written: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    needed = {"density": ["--data-root", "x"], "report": ["x"]}
    _refuses(f"seit_cl.{module}", [*needed.get(module, []), *written], monkeypatch, capsys)


@pytest.mark.parametrize("words", [["encode", "--data-root"], ["export-seit", "--tokens"]])
def test_an_empty_out_of_tokenize_is_refused(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _refuses("seit_cl.tokenize", [*words, "x", "--out", ""], monkeypatch, capsys)


def _refuses(
    module: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [module, *words])
    with pytest.raises(SystemExit) as end:
        run_command(import_module(module).main)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: --out '': is empty")
