"""Opening a launcher by its options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seit_cl.experiment.run_data import RunData
from seit_cl.launch import Launch
from seit_cl.launchers.jobs import Launcher


@contextmanager
def open_launcher(launch: Launch, data: RunData, out: Path) -> Iterator[Launcher]:
    """Provide a launcher; when the block ends or raises, what it started ends.

    Args:
        launch: its options.
        data: of all runs, made with `shared` where the launch shares memory.
        out: folder of the results.

    Raises:
        UserError: a cluster that cannot be used.
    """
    # Imported here: each needs a package of its own.
    if launch.kind == "ray":
        from seit_cl.launchers.on_ray import open_cluster

        address = launch.ray_address
        with open_cluster(address, launch.run_cpus, launch.run_gpus, data, out) as cluster:
            yield cluster
    elif launch.kind == "slurm":
        from seit_cl.launchers.on_slurm import SlurmArray, read_parameters

        yield SlurmArray(read_parameters(launch.slurm), launch.run_cpus, launch.run_gpus, out)
    else:
        from seit_cl.launchers.local import open_workers

        with open_workers(launch.jobs, data) as workers:
            yield workers
