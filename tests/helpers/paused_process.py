"""Processes of tests that stop at a known place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def process_at(program: str, folder: Path, line: str) -> subprocess.Popen[str]:
    """Start a Python program with a folder as its argument, and wait until it prints a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == f"{line}\n"
    return process
