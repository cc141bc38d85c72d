"""Description of the machine for pages of measurements, and its number of CPU threads."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

GIT_SECONDS = 10  # after which a run does without the commit


def processor_name() -> str:
    """Model name of the processor as Linux reports it, or else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    if names:
        return names[0]
    return platform.processor() or platform.machine()


@cache
def commit_of_checkout() -> str:
    """The commit of the checkout that this package runs from, with "+" where files differ from it.

    Returns:
        "" for an installed copy, and where git is missing or does not answer.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    git = ["git", "-C", str(root)]
    try:
        head = _answer([*git, "rev-parse", "HEAD"])
        changed = _answer([*git, "status", "--porcelain", "--untracked-files=no"])
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{head}+" if changed else head


def _answer(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS)
    return done.stdout.strip()


def machine_line(device: torch.device) -> str:
    """Processor, cores, device and versions on one line."""
    parts = [f"{processor_name()}, {os.cpu_count()} cores"]
    if device.type == "cuda":
        parts.append(torch.cuda.get_device_name(device))
    parts.append(f"torch {torch.__version__}, Python {platform.python_version()}")
    return "; ".join(parts)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` CPU threads inside the block; 0 leaves the number unchanged."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
