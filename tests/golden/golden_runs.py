"""Short runs on the CPU whose results must never change, and a command that records their digests.

    python tests/golden/golden_runs.py            compare the results with digests.json
    python tests/golden/golden_runs.py --record   write this machine's digests to digests.json

The digests of a run are the SHA-256 of the first five columns of its accuracy.csv without the
header line (columns may be renamed, rows may not change) and of its memory.bin. Floating-point sums
depend on the version of torch and on the processor, so digests.json has one table for each of them.
Record a new table only from a commit whose results are known to be right.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from seit_cl.data.fractals import write_fractals

DIGESTS = Path(__file__).with_name("digests.json")
# Memories are filled after each experience, as before there was a choice; the group "filled" has
# other times.
COMMON = (
    "--device cpu --precision fp32 --seed 3 --experiences 2 --epochs 2 --batch 16 --replay-batch 8 "
    "--fill after"
)
STRATEGIES = [
    "er",
    "er_ace",
    "derpp:alpha=0.2,beta=0.5",
    "mir:candidates=50",
    "agem",
    "gdumb",
    "icarl",
    "lucir",
    "wa",
    "lwf",
    "ewc:strength=1000",
    "ncm",
    "naive",
    "cumulative",
    "joint",
    "avalanche:SynapticIntelligencePlugin,si_lambda=0.01",
    "avalanche:LwFPlugin,alpha=1.0,temperature=2.0",
    "avalanche:ReplayPlugin",
]
STATISTICS = ["simplecil", "ranpac:dimensions=100"]  # strategies of class statistics
# Strategies whose papers fill the memory during an experience.
FILLED_DURING = ["er", "er_ace", "derpp:alpha=0.2,beta=0.5", "mir:candidates=20"]
TOKEN_FORMATS = ["tokens", "tokens:coder=ans", "tokens:coder=context"]
IMAGE_FORMATS = [
    "jpeg:quality=75",
    "jpeg:quality=auto",
    "jpeg:quality=40,size=32,chroma=444",
    "jpeg:original",
    "jpeg_scan:quality=30",
    "raw",
    "png",
    "webp",
    "avif",
    "jxl",
]
CHOSEN_FORMATS = ["webp_scan:quality=25", "avif_scan:quality=25", "auto:kinds=jpeg_scan+webp_scan"]
GROUPS: dict[str, str] = {
    "strategies": f"--memory-mb 0.003 --strategy {' '.join(STRATEGIES)}",
    "statistics": f"--memory-mb 0.003 --train head --strategy {' '.join(STATISTICS)}",
    "head": (
        "--memory-mb 0.003 --strategy er derpp:alpha=0.2,beta=0.5 icarl --head fixed --cutmix-p 0"
    ),
    "augmented": (
        "--memory-mb 0.003 --strategy er --cutmix-p 1 --cutmix-alpha 0.5 "
        "--noise-p 1 --flip-p 1 --synonym-p 0.5 --swap-p 0.5"
    ),
    "token formats": f"--memory-mb 0.0045 --format {' '.join(TOKEN_FORMATS)}",
    "image formats": f"--memory-mb 0.03 --format {' '.join(IMAGE_FORMATS)}",
    "chosen formats": f"--memory-mb 0.03 --format {' '.join(CHOSEN_FORMATS)}",
    "pixel learner": (
        "--memory-mb 0.03 --learner pixels --format jpeg raw "
        "--strategy er derpp:alpha=0.2,beta=0.5 gdumb"
    ),
    "class-balanced-count": "--memory-mb 0.03 --format jpeg --policy class-balanced-count",
    "reservoir": "--memory-mb 0.03 --format tokens jpeg --policy reservoir",
    "herding": "--memory-mb 0.002 --format tokens --policy herding",
    "online": (
        "--memory-mb 0.002 --scenario online:size=20 --epochs 1 --strategy er agem --eval-every 2"
    ),
    "blurry": "--memory-mb 0.002 --scenario blurry --epochs 1 --strategy er er_ace",
    "long-tailed": "--memory-mb 0.002 --scenario long-tailed:ratio=4",
    "domains": (
        "--memory-mb 0.002 --scenario domain-incremental:corruptions=gaussian_noise+contrast "
        "--experiences 0 --strategy er joint"
    ),
    "filled": f"--memory-mb 0.002 --strategy {' '.join(FILLED_DURING)} --fill default",
    "filled before": "--memory-mb 0.002 --strategy er derpp:alpha=0.2,beta=0.5 --fill before",
    "class order": "--memory-mb 0.002 --class-order-seed 7 --first-classes 3 --model tiny",
}
RESUMED = "--memory-mb 0.003 --strategy derpp:alpha=0.2,beta=0.5 --experiences 5 --epochs 4"


def machine() -> str:
    """Return the torch version and the processor, the key of a table of digests."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = ("vendor_id", "cpu family", "model\t", "model name")
    values = [line.split(":")[1].strip() for line in lines if line.startswith(fields)]
    processor = " ".join(dict.fromkeys(values)) or platform.processor()
    version = torch.__version__.split("+")[0]
    return f"torch {version}, {torch.backends.cpu.get_cpu_capability()}, {processor}"


def run_group(group: str, data: Path, out: Path) -> dict[str, str]:
    """Run the runs of a group through the command line.

    Args:
        group: a key of GROUPS.
        data: the image folder of the runs.
        out: where a folder of the group's name is made for the results.

    Returns:
        Digests by "group/run/file".
    """
    _run(_options(GROUPS[group], data, out / group))
    return digests(out, group)


def run_resumed(data: Path, out: Path) -> dict[str, str]:
    """Kill a run after its first commit, resume it, and return the digests of its results."""
    options = _options(RESUMED, data, out / "resumed")
    _kill_after_first_commit(options, out / "resumed")
    _run(options)
    return digests(out, "resumed")


def digests(out: Path, group: str) -> dict[str, str]:
    """Return the digests of a group's runs by "group/run/file"."""
    values = {}
    for run in sorted((out / group).iterdir()):
        table = run / "accuracy.csv"
        memory = run / "memory.bin"
        name = run.name.replace("_fill-after", "")  # as when these digests were recorded
        if table.exists():
            rows = _first_columns(table.read_bytes().partition(b"\n")[2])
            values[f"{group}/{name}/accuracy.csv"] = hashlib.sha256(rows).hexdigest()
        if memory.exists():
            content = memory.read_bytes()
            values[f"{group}/{name}/memory.bin"] = hashlib.sha256(content).hexdigest()
    return values


def _first_columns(rows: bytes) -> bytes:
    """The first five columns, as old as the digests, of a table whose values have no commas."""
    cells = [line.split(b",")[:5] for line in rows.splitlines()]
    return b"".join(b",".join(line) + b"\n" for line in cells)


def _options(own: str, data: Path, out: Path) -> list[str]:
    return [*COMMON.split(), *own.split(), "--data-root", str(data), "--out", str(out)]


def _command(options: list[str]) -> list[str]:
    return [sys.executable, "-m", "seit_cl.run", *options]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _run(options: list[str]) -> None:
    done = subprocess.run(
        _command(options), env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(options)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )


def _kill_after_first_commit(options: list[str], out: Path) -> None:
    process = subprocess.Popen(
        _command(options), env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(out.glob("*/checkpoint.pt")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if not list(out.glob("*/checkpoint.pt")):
        raise RuntimeError(
            "the run to be resumed was over before it was killed; give it more epochs"
        )


def main() -> int:
    """Record or compare; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEIT_CL_CACHE"] = f"{folder}/cache"
        data = write_fractals(Path(folder) / "fractals", 5, 16, 6, 64)
        out = Path(folder) / "out"
        current = run_resumed(data, out)
        for group in GROUPS:
            current |= run_group(group, data, out)
    tables = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    if "--record" in sys.argv:
        tables[machine()] = current
        DIGESTS.write_text(json.dumps(tables, indent=1, sort_keys=True) + "\n")
        print(f"{machine()}: {len(current)} digests recorded")
        return 0
    if machine() not in tables:
        print(f"{machine()}: no digests; use --record on a commit whose results are right")
        return 2
    recorded = tables[machine()]
    names = sorted(recorded.keys() | current.keys())
    changed = [name for name in names if recorded.get(name) != current.get(name)]
    for name in changed:
        print(f"changed: {name}")
    print(f"{machine()}: {len(recorded)} digests, {len(changed)} changed")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
