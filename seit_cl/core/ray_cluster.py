"""Connection to a Ray cluster (Moritz et al., OSDI 2018), and what its machines must share."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

import seit_cl
from seit_cl.core.errors import UserError, one_line
from seit_cl.core.extras import check_extra

ANSWER = 10.0  # seconds in which the machine at an address has to answer
RETRIES = 5  # times that a task whose worker or machine is lost is begun again


@dataclass(frozen=True)
class Place:
    """Folders and versions that a worker must share with the command that sent the task.

    Args:
        folder: working folder, to which paths are relative.
        out: folder of the results.
        versions: of the packages that decide on numbers.
    """

    folder: Path
    out: Path
    versions: dict[str, str]

    @classmethod
    def here(cls, out: Path) -> Place:
        """That of this process."""
        return cls(Path.cwd(), out.absolute(), _versions())

    def enter(self) -> None:
        """Go to the working folder.

        Raises:
            UserError: this machine differs.
        """
        machine = socket.gethostname()
        own = _versions()
        for name, wanted in self.versions.items():
            if own[name] != wanted:
                raise UserError(
                    f"--launcher ray: {machine} has {name} {own[name]} and this command {wanted}; "
                    "install the same version on all machines"
                )
        for folder in (self.folder, self.out):
            if not folder.is_dir():
                raise UserError(
                    f"--launcher ray: {machine} has no folder {folder}; start in a folder that all "
                    "machines share, with --out in a folder that they share"
                )
        os.chdir(self.folder)


def _versions() -> dict[str, str]:
    return {"seit_cl": seit_cl.__version__, "torch": torch.__version__}


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a Ray cluster, until the block ends or raises.

    Args:
        address: of the cluster, "auto" for the one of this machine, "local" for one that is
            started here and ends with the block; "": RAY_ADDRESS, or the one of this machine, or
            else as "local".

    Raises:
        UserError: no cluster at the address, or another version of Ray or Python there; or the
            cluster is lost.
    """
    check_extra("ray", "ray", "--launcher ray")
    import ray

    _connect(address)
    try:
        yield
    except ray.exceptions.RayError as error:
        raise UserError(
            f"--launcher ray: the cluster was lost ({one_line(error)}); the same command goes on "
            "with what is not finished"
        ) from error
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    """Connect to a cluster or start one.

    Raises:
        UserError: neither is possible.
    """
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a cluster that is started here
    # Ray raises errors of many kinds, of its own and of gRPC, for addresses and versions.
    try:
        _require_answer(address)
        ray.init(address or None, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise UserError(
            f"--ray-address {address or 'not given'}: no Ray cluster can be used there "
            f"({one_line(error)}); "
            "start one with ray start --head, with the same versions of Python and Ray, or leave "
            "out --ray-address to start one here"
        ) from error


def _require_answer(address: str) -> None:
    """Check that something answers at HOST:PORT, for which Ray itself waits for minutes.

    Args:
        address: as of `connected`; words such as "auto" have no port and are not checked.

    Raises:
        OSError: nothing answers.
        ValueError: the port is no number.
    """
    host, colon, port = address.rpartition("/")[2].rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), ANSWER).close()


def require_room(cores: int, gpus: float) -> None:
    """Check that a machine of the cluster has the cores and the GPUs of a task.

    Raises:
        UserError: none has.
    """
    import ray

    for node in ray.nodes():
        resources = node["Resources"]
        enough_cores = resources.get("CPU", 0) >= cores
        if node["Alive"] and enough_cores and resources.get("GPU", 0) >= gpus:
            return
    raise UserError(
        f"--run-cpus {cores} --run-gpus {gpus:g}: no machine of the Ray cluster has as many; give "
        "fewer"
    )


def room(cores: int, gpus: float) -> int:
    """Number of tasks that the cluster can do beside one another, at least 1.

    Args:
        cores, gpus: of a task; a fraction shares a GPU.
    """
    import ray

    total = ray.cluster_resources()
    count = int(total.get("CPU", 0) // cores)
    if gpus:
        count = min(count, int(total.get("GPU", 0) / gpus))
    return max(1, count)
