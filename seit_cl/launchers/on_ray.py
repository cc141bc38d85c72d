"""Runs as tasks of a Ray cluster (Moritz et al., OSDI 2018).

A run is a task with its cores and its share of a GPU. Ray makes a task again whose worker or whose
machine is lost, and the run goes on from its last commit. All machines see the folder of the
results, and the data at the same paths. Tokens come with the task: they are in Ray's object store
once for every machine.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seit_cl.core.devices import share_machine
from seit_cl.core.errors import one_line
from seit_cl.core.files import make_folder
from seit_cl.core.ray_cluster import RETRIES, Place, connected, require_room, room
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
AHEAD = 1  # tasks that wait in the cluster, so that it sees that there is more to do


@contextmanager
def open_cluster(
    address: str, cores: int, gpus: float, data: RunData, out: Path
) -> Iterator[RayCluster]:
    """Connect to a Ray cluster; when the block ends or raises, its tasks are cancelled.

    Args:
        address: as of `seit_cl.core.ray_cluster.connected`.
        cores: of each run.
        gpus: of each run; a fraction shares one.
        data: of all runs.
        out: folder of the results, which all machines see.

    Raises:
        UserError: no cluster at the address, another version of Ray or Python, or no machine that
            has the cores and the GPU of a run; or the cluster is lost.
    """
    make_folder(out)
    with connected(address):
        cluster = RayCluster(cores, gpus, data.portable(), Place.here(out))
        try:
            yield cluster
        finally:
            cluster.close()


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
        require_room(cores, gpus)
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

    def _submit(self, waiting: Iterator[Job]) -> None:
        """Give the cluster as many runs as it has room for, and a few ahead."""
        places = room(self._cores, self._gpus)
        processes = max(1, math.floor(1 / self._gpus)) if self._gpus else places
        while len(self._running) < places + AHEAD:
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
