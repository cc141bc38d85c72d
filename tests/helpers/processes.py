"""Processes of tests, and how much memory they take."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from seit_cl.core.shared_tensors import SharedTensor

ROLLUP = Path("/proc/self/smaps_rollup")  # Linux


def memory_kb(kind: str) -> int:
    """Return a line of this process's smaps_rollup in kB, e.g. "Pss"."""
    for line in ROLLUP.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == kind:
            return int(value.split()[0])
    raise KeyError(kind)


def read_and_write(connection: Connection, shared: SharedTensor) -> None:
    """Sum up a shared tensor, send the sum and the kB that this took, and write to the tensor."""
    before = {kind: memory_kb(kind) for kind in ("Rss", "Pss")}
    total = int(shared.tensor.sum())
    after = {kind: memory_kb(kind) - before[kind] for kind in before}
    shared.tensor.zero_()
    connection.send((total, after))
