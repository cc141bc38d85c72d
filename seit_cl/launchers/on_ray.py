"""Runs as tasks of a Ray cluster (Moritz et al., OSDI 2018).

A run is a task with its cores and its share of a GPU. Ray makes a task again whose worker or whose
machine is lost, and the run goes on from its last commit. All machines see the folder of the
results, and the data at the same paths. Tokens come with the task: they are in Ray's object store
once for every machine.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import seit_cl
from seit_cl.core.devices import share_machine
from seit_cl.core.errors import UserError, one_line
from seit_cl.core.extras import check_extra
from seit_cl.core.files import make_folder
from seit_cl.experiment.run_data import PortableRunData, RunData
from seit_cl.launchers.jobs import (
    Bug,
    Ending,
    Job,
    Observer,
    OutOfMemory,
    Update,
    end_run,
    make_run,
)

if TYPE_CHECKING:
    from ray import ObjectRef

INTERVAL = 1.0  # seconds between two messages on the progress of a run
POLL = 0.3  # seconds between two looks at what the tasks have sent
PATIENCE = 10.0  # seconds in which a task that is cancelled has to end
ANSWER = 10.0  # seconds in which the machine at an address has to answer
RETRIES = 5  # times that a run whose worker or machine is lost is begun again
AHEAD = 1  # tasks that wait in the cluster, so that it sees that there is more to do


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
        for name, version in self.versions.items():
            own = _versions()[name]
            if own != version:
                raise UserError(
                    f"--launcher ray: {machine} has {name} {own} and this command {version}; "
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
def open_cluster(
    address: str, cores: int, gpus: float, data: RunData, out: Path
) -> Iterator[RayCluster]:
    """Connect to a Ray cluster; when the block ends or raises, its tasks are cancelled.

    Args:
        address: of the cluster, "auto" for the one of this machine; "": RAY_ADDRESS, or the one of
            this machine, or one that is started here and ends with the block.
        cores: of each run.
        gpus: of each run; a fraction shares one.
        data: of all runs.
        out: folder of the results, which all machines see.

    Raises:
        UserError: no cluster at the address, another version of Ray or Python, or no machine that
            has the cores and the GPU of a run.
    """
    check_extra("ray", "ray", "--launcher ray")
    import ray

    make_folder(out)
    _connect(address)
    try:
        cluster = RayCluster(cores, gpus, data.portable(), Place.here(out))
        try:
            yield cluster
        finally:
            cluster.close()
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
        address: as of `open_cluster`; words such as "auto" have no port and are not checked.

    Raises:
        OSError: nothing answers.
        ValueError: the port is no number.
    """
    host, colon, port = address.rpartition("/")[2].rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), ANSWER).close()


class RayCluster:
    """A Ray cluster that makes runs.

    Args:
        cores, gpus: of each run.
        data: of all runs.
        place: which its machines have in common with this one.

    Raises:
        UserError: no machine has the cores and the GPU of a run.
    """

    def __init__(self, cores: int, gpus: float, data: PortableRunData, place: Place) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._cores = cores
        self._gpus = gpus
        self._place = place
        self._require_room()
        self._data = ray.put(data)
        node = ray.get_runtime_context().get_node_id()
        here = NodeAffinitySchedulingStrategy(node, soft=False)
        self._mailbox: Any = (
            ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        )
        self._task = ray.remote(_task).options(
            num_cpus=cores, num_gpus=gpus, max_retries=RETRIES, retry_exceptions=False
        )
        self._jobs: list[Job] = []  # by number
        self._running: dict[ObjectRef[Any], int] = {}
        self._begun: set[int] = set()

    def run(self, jobs: Iterable[Job], observer: Observer) -> None:
        """Make runs, as many beside one another as the cluster has room for.

        A run that fails, or whose machines are lost again and again, ends with a problem, and the
        others go on.

        Args:
            jobs: one is taken whenever there is room.
            observer: is told when a run begins, of its progress and when it ends.

        Raises:
            UserError: a run met an error of the machine, such as a disk without room.
            RuntimeError: a run raised something else than a UserError, whose traceback is given.
        """
        import ray

        waiting = iter(jobs)
        while True:
            self._submit(waiting)
            if not self._running:
                return
            done, _ = ray.wait(list(self._running), num_returns=1, timeout=POLL)
            self._tell(observer)
            for reference in done:
                self._end(reference, observer)

    def _require_room(self) -> None:
        """Check that a machine has what a run needs.

        Raises:
            UserError: none has.
        """
        import ray

        for node in ray.nodes():
            resources = node["Resources"]
            enough_cores = resources.get("CPU", 0) >= self._cores
            if node["Alive"] and enough_cores and resources.get("GPU", 0) >= self._gpus:
                return
        raise UserError(
            f"--run-cpus {self._cores} --run-gpus {self._gpus:g}: no machine of the Ray cluster "
            "has as many; give fewer"
        )

    def _room(self) -> int:
        """Number of runs that the cluster can make beside one another."""
        import ray

        total = ray.cluster_resources()
        room = int(total.get("CPU", 0) // self._cores)
        if self._gpus:
            room = min(room, int(total.get("GPU", 0) / self._gpus))
        return max(1, room)

    def _submit(self, waiting: Iterator[Job]) -> None:
        """Give the cluster as many runs as it has room for, and a few ahead."""
        most = self._room() + AHEAD
        processes = max(1, math.floor(1 / self._gpus)) if self._gpus else self._room()
        while len(self._running) < most:
            job = next(waiting, None)
            if job is None:
                return
            number = len(self._jobs)
            self._jobs.append(job)
            reference = self._task.remote(
                job, number, self._data, self._place, self._mailbox, self._cores, processes
            )
            self._running[reference] = number

    def _tell(self, observer: Observer) -> None:
        """Tell the observer what the tasks have sent."""
        import ray

        for number, update in ray.get(self._mailbox.take.remote()):
            self._begin(number, observer)
            if number in self._running.values():
                observer.update(self._jobs[number], update)

    def _begin(self, number: int, observer: Observer) -> None:
        """Tell the observer that a run begins, once also where it is begun again elsewhere."""
        if number not in self._begun:
            self._begun.add(number)
            observer.begin(self._jobs[number])

    def _end(self, reference: ObjectRef[Any], observer: Observer) -> None:
        """Tell the observer how a run has ended."""
        import ray

        number = self._running.pop(reference)
        job = self._jobs[number]
        self._begin(number, observer)
        try:
            message: Ending | Bug = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            message = Bug(str(error))
        except ray.exceptions.RayError as error:
            problem = (
                f"{job.run_dir.name}: its worker was lost {RETRIES + 1} times "
                f"({one_line(error)}); the same command resumes it"
            )
            message = Ending(problem=problem)
        end_run(job, message, observer)

    def close(self) -> None:
        """Stop the runs in progress, which can be resumed."""
        import ray

        for reference in self._running:
            with suppress(ray.exceptions.RayError):
                ray.cancel(reference)
        if self._running:
            ray.wait(list(self._running), num_returns=len(self._running), timeout=PATIENCE)
        for reference in self._running:
            with suppress(ray.exceptions.RayError):
                ray.cancel(reference, force=True)


class Mailbox:
    """Reports of the tasks until the command takes them; an actor of Ray's."""

    def __init__(self) -> None:
        self._messages: dict[int, Update] = {}

    def put(self, number: int, update: Update) -> None:
        """Note the progress of a run.

        Args:
            number: of the run.
            update: replaces what it reported before.
        """
        self._messages[number] = update

    def take(self) -> list[tuple[int, Update]]:
        """Return what has been noted since the last call."""
        messages = list(self._messages.items())
        self._messages.clear()
        return messages


def _task(
    job: Job,
    number: int,
    data: PortableRunData,
    place: Place,
    mailbox: Any,
    cores: int,
    processes: int,
) -> Ending | Bug:
    """Make a run on a machine of the cluster, with updates to the mailbox."""
    share_machine(processes, cores=cores)
    mailbox.put.remote(number, Update(0.0, "starts"))

    def open_data() -> RunData:
        place.enter()
        return data.open()

    try:
        return make_run(job, open_data, lambda update: mailbox.put.remote(number, update), INTERVAL)
    except OutOfMemory:
        problem = f"{job.run_dir.name}: out of memory on {socket.gethostname()}"
        return Ending(
            problem=f"{problem}; the same command resumes it, with more --run-cpus fewer "
            "runs share a machine"
        )
