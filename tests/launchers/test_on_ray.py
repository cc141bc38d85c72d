"""Runs on a Ray cluster of several machines, which lose workers, machines and the command."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from helpers.clusters import kill_workers, three_machines
from helpers.colour_stream import OPTIONS, write_colours
from helpers.launched_runs import list_jobs, require_same_results, run_here
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import run_grid
from seit_cl.launch import Launch
from seit_cl.launchers.jobs import Ending, Job, Update
from seit_cl.launchers.on_ray import open_cluster

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("colours"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Any]:
    with three_machines(tmp_path) as made:
        yield made


class Disturbance:
    """An observer that does something once, when a run reports that it is under way."""

    def __init__(self, disturb: Callable[[], None]) -> None:
        self.disturb = disturb
        self.endings: dict[str, Ending] = {}
        self.done = False

    def begin(self, job: Job) -> None:
        """A run begins."""

    def update(self, job: Job, update: Update) -> None:
        """Disturb the first run that has taken a step."""
        if update.share > 0 and not self.done:
            self.done = True
            self.disturb()

    def end(self, job: Job, ending: Ending) -> None:
        """Note how a run ended."""
        self.endings[job.run_dir.name] = ending


@pytest.mark.slow
def test_a_grid_of_twelve_runs_on_three_machines_ends_like_one_after_the_other(
    cluster: Any, root: Path, tmp_path: Path
) -> None:
    base = RunConfig(**{"data_root": root, **OPTIONS})
    configs = []
    for strategy in ("er", "naive", "icarl"):
        for seed in range(4):
            configs.append(replace(base, strategy=strategy, seed=seed))
    assert run_grid(configs, tmp_path / "here", QUIET) == []
    launch = Launch("ray", ray_address=cluster.address)
    assert run_grid(configs, tmp_path / "ray", QUIET, launch=launch) == []
    require_same_results(tmp_path / "here", tmp_path / "ray")
    assert list((tmp_path / "cache1" / "tokens").iterdir())  # came with the tasks


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["workers", "machine"])
def test_runs_whose_workers_or_machine_are_lost_end_with_the_numbers_of_undisturbed_ones(
    cluster: Any, root: Path, tmp_path: Path, lost: str
) -> None:
    options: dict[str, Any] = {"epochs": 40, "experiences": 4}
    runs = list_jobs(
        root, tmp_path / "ray", **{f"run{seed}": {**options, "seed": seed} for seed in range(4)}
    )
    run_here(runs, tmp_path / "here")

    def lose_machine() -> None:
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    def lose_workers() -> None:
        assert kill_workers("_task")

    observer = Disturbance(lose_workers if lost == "workers" else lose_machine)
    (tmp_path / "ray").mkdir()
    data = RunData(runs[0].config)
    with open_cluster(cluster.address, 1, 0.0, data, tmp_path / "ray") as launcher:
        launcher.run(runs, observer)
    assert observer.done
    assert {ending.problem for ending in observer.endings.values()} == {""}
    require_same_results(tmp_path / "here", tmp_path / "ray")


@pytest.mark.slow
def test_a_command_that_is_killed_with_its_cluster_goes_on_when_it_is_given_again(
    root: Path, tmp_path: Path
) -> None:
    words = f"--data-root {root} --experiences 4 --epochs 30 --batch 8 --replay-batch 8"
    command = [sys.executable, "-m", "seit_cl.run", *words.split(), "--memory-mb", "0.01"]
    beside = tmp_path / "here"
    subprocess.run([*command, "--out", str(beside)], check=True)
    # A cluster of its own, since other tests have clusters on this machine.
    cluster_words = ["--launcher", "ray", "--ray-address", "local", "--run-cpus", "1"]
    on_ray = [*command, "--out", str(tmp_path / "ray"), *cluster_words]
    first = subprocess.Popen(on_ray)
    try:
        while not list((tmp_path / "ray").glob("*/accuracy.csv")):
            assert first.poll() is None
            time.sleep(0.1)
    finally:
        kill_with_children(first.pid)
        first.wait()
    subprocess.run(on_ray, check=True)
    require_same_results(beside, tmp_path / "ray")


def kill_with_children(pid: int) -> None:
    """Kill a process and all that it has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


@pytest.mark.slow
def test_a_lost_cluster_is_named_in_one_line_and_the_runs_can_go_on(
    cluster: Any, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "ray").mkdir()
    runs = list_jobs(root, tmp_path / "ray", run0={"epochs": 40, "experiences": 4})
    data = RunData(runs[0].config)

    def lose_reports() -> None:
        assert kill_workers("Mailbox")

    observer = Disturbance(lose_reports)
    with (
        pytest.raises(UserError, match=r"the cluster was lost .* the same command") as caught,
        open_cluster(cluster.address, 1, 0.0, data, tmp_path / "ray") as launcher,
    ):
        launcher.run(runs, observer)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_address_without_a_cluster_is_named_in_one_line(root: Path, tmp_path: Path) -> None:
    data = RunData(RunConfig(data_root=root))
    opened = open_cluster("127.0.0.1:1", 1, 0.0, data, tmp_path)
    with pytest.raises(UserError, match=r"--ray-address 127\.0\.0\.1:1: no Ray cluster") as caught:
        opened.__enter__()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_run_that_no_machine_has_room_for_is_refused(
    cluster: Any, root: Path, tmp_path: Path
) -> None:
    data = RunData(RunConfig(data_root=root))
    opened = open_cluster(cluster.address, 1, 2.0, data, tmp_path)
    with pytest.raises(UserError, match="--run-cpus 1 --run-gpus 2: no machine of the Ray cluster"):
        opened.__enter__()
