"""`torchrun -m seit_cl.run`: one run in several processes, killed and gone on with; one line for an
error."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WORDS = "--experiences 3 --epochs 2 --batch 7 --replay-batch 5 --memory-mb 0.002 --device cpu"
WORDS += " --precision fp32"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
RUN = ["-m", "seit_cl.run", *WORDS.split()]
WAIT = 600.0  # seconds


def words(fractals: Path, out: Path) -> list[str]:
    return [*RUN, "--data-root", str(fractals), "--out", str(out)]


def run_folder(out: Path) -> Path:
    (folder,) = [path.parent for path in out.glob("*/config.yaml")]
    return folder


def until_committed(out: Path) -> None:
    """Wait until the first experience of a run is committed."""
    deadline = time.monotonic() + WAIT
    while not list(out.glob("*/checkpoint.pt")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def process_of_rank(launcher: int, rank: int) -> int:
    """The id of a rank's process (Linux)."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    for child in children:
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if f"RANK={rank}".encode() in environment:
            return int(child)
    raise AssertionError(f"no rank {rank} among {children}")


@pytest.fixture(scope="module")
def undisturbed(fractals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that one process makes."""
    out = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, *words(fractals, out)], check=True)
    return run_folder(out)


@pytest.mark.parametrize("rank", [0, 1])
def test_after_a_rank_is_killed_another_number_of_processes_ends_the_run(
    fractals: Path, tmp_path: Path, undisturbed: Path, rank: int
) -> None:
    launcher = subprocess.Popen([*TORCHRUN, *words(fractals, tmp_path)])
    until_committed(tmp_path)
    os.kill(process_of_rank(launcher.pid, rank), signal.SIGKILL)
    assert launcher.wait(WAIT) != 0
    start = [sys.executable] if rank == 0 else TORCHRUN
    subprocess.run([*start, *words(fractals, tmp_path)], check=True)
    for name in ("memory.bin", "accuracy.csv"):
        made = (run_folder(tmp_path) / name).read_bytes()
        assert made == (undisturbed / name).read_bytes()


def test_after_an_interrupt_the_same_command_goes_on(
    fractals: Path, tmp_path: Path, undisturbed: Path
) -> None:
    launcher = subprocess.Popen(
        [*TORCHRUN, *words(fractals, tmp_path)], stdout=subprocess.PIPE, text=True
    )
    until_committed(tmp_path)
    launcher.send_signal(signal.SIGINT)
    output, _ = launcher.communicate(timeout=WAIT)
    assert "this resumes: torchrun --nproc-per-node 2 -m seit_cl.run --experiences 3" in output
    subprocess.run([*TORCHRUN, *words(fractals, tmp_path)], check=True)
    made = (run_folder(tmp_path) / "memory.bin").read_bytes()
    assert made == (undisturbed / "memory.bin").read_bytes()


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--jobs", "2"], "error: --jobs 2: 2 processes of torchrun make each run together"),
        (["--strategy", "avalanche:LwFPlugin"], "error: torchrun: --strategy avalanche:LwFPlugin"),
    ],
)
def test_an_error_that_all_ranks_meet_is_one_line(
    fractals: Path, tmp_path: Path, more: list[str], line: str
) -> None:
    ended = subprocess.run(
        [*TORCHRUN, *words(fractals, tmp_path), *more], capture_output=True, text=True
    )
    assert ended.returncode != 0
    lines = [text for text in ended.stderr.splitlines() if "error: " in text.lower()]
    assert [text.startswith(line) for text in lines if text.startswith("error")] == [True]
    assert "Traceback" not in ended.stderr.partition("torch/distributed")[0]
