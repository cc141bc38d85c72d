"""The options of a launcher, and opening one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seit_cl.config import LauncherKind
from seit_cl.core.errors import UserError
from seit_cl.experiment.run_data import RunData
from seit_cl.launchers.jobs import Launcher


@dataclass(frozen=True)
class Launch:
    """Where the runs of a grid are made.

    Args:
        kind: processes of this machine, tasks of Ray, or jobs of Slurm.
        jobs: runs beside one another on this machine.
        ray_address: of the cluster; "": as Ray chooses.
        run_cpus: cores of a run in a cluster.
        run_gpus: GPUs of a run in a cluster; a fraction shares one.
        slurm: parameters of submitit's, such as "partition=gpu".

    Raises:
        UserError: an option of another launcher.
    """

    kind: LauncherKind = "local"
    jobs: int = 1
    ray_address: str = ""
    run_cpus: int = 1
    run_gpus: float = 0.0
    slurm: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UserError(f"--jobs {self.jobs}: must be at least 1")
        if self.run_cpus < 1:
            raise UserError(f"--run-cpus {self.run_cpus}: must be at least 1")
        if not 0 <= self.run_gpus < float("inf"):
            raise UserError(f"--run-gpus {self.run_gpus}: must be 0 or more")
        if self.kind != "local" and self.jobs > 1:
            raise UserError(
                f"--jobs {self.jobs}: is for --launcher local; with {self.kind}, --run-cpus and "
                "--run-gpus say how many runs a machine has room for"
            )
        if self.kind != "ray" and self.ray_address:
            raise UserError(f"--ray-address {self.ray_address}: needs --launcher ray")
        if self.kind != "slurm" and self.slurm:
            raise UserError(f"--slurm {self.slurm[0]}: needs --launcher slurm")

    @classmethod
    def of(cls, options: Any) -> Launch:
        """That of options as `parse` returns them.

        Raises:
            UserError: an option of another launcher.
        """
        return cls(
            options.launcher,
            options.jobs,
            options.ray_address,
            options.run_cpus,
            options.run_gpus,
            options.slurm,
        )

    @property
    def in_this_process(self) -> bool:
        """True where runs are made one after the other, without a launcher."""
        return self.kind == "local" and self.jobs == 1

    @property
    def shares_memory(self) -> bool:
        """True where a launcher's processes map the data of this one."""
        return self.kind == "local"


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
