"""The options of a launcher, read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from seit_cl.core.errors import UserError

LauncherKind = Literal["local", "ray", "slurm"]


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
