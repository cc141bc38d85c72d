"""Ray clusters of several machines, all of them processes of this one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil


@contextlib.contextmanager
def three_machines(folder: Path) -> Iterator[Any]:
    """A cluster of three machines with a core each.

    Args:
        folder: has the caches of the second and the third, which are their own.
    """
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for number in (1, 2):
        made.add_node(num_cpus=1, env_vars={"SEIT_CL_CACHE": str(folder / f"cache{number}")})
    yield made
    made.shutdown()


def kill_workers(kind: str) -> int:
    """Kill the processes that work for the clusters of this test, not those of a test beside it.

    Args:
        kind: "_task" makes a run, "Mailbox" takes the reports of runs, "_write_part" encodes.

    Returns:
        The number of processes.
    """
    workers = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if f"ray::{kind}" in " ".join(process.cmdline()):
                workers.append(process)
    for process in workers:
        process.kill()
    return len(workers)
