"""Runs beside one another: the same files, one copy of the data, and no run lost with another."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from helpers.colour_stream import write_colours
from helpers.job_log import JobLog
from helpers.launched_runs import list_jobs, require_same_results, run_here
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.shared_data import open_data
from seit_cl.launchers.local import Workers, _without_interrupts, open_workers
from seit_cl.results.run_files import read_run

SILENT = Progress(disable=True, console=Console(quiet=True))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("jobs"))


@pytest.mark.slow
def test_runs_beside_one_another_write_the_files_of_runs_one_after_another(
    root: Path, tmp_path: Path
) -> None:
    options: dict[str, dict[str, object]] = {
        "tokens": {},
        "jpeg": {"format": "jpeg"},
        "pixels": {"format": "jpeg", "learner": "pixels"},
    }
    runs = list_jobs(root, tmp_path / "beside", **options)
    beside = [replace(job, tracker="tensorboard") for job in runs]
    data = open_data([job.config for job in beside], tmp_path / "beside", SILENT, shared=True)
    run_here(beside, tmp_path / "expected")
    log = JobLog()
    with open_workers(2, data) as workers:
        workers.run(beside, log)
    assert log.most_workers == 2
    assert multiprocessing.active_children() == []
    for name in options:
        assert log.endings[name].problem == ""
        assert list((tmp_path / "beside" / name / "tracking").iterdir())
    require_same_results(tmp_path / "expected", tmp_path / "beside")


@pytest.fixture(scope="module")
def workers(root: Path) -> Iterator[Workers]:
    """Room for two workers, which the tests below share."""
    data = RunData(RunConfig(data_root=root), shared=True)
    with open_workers(2, data) as workers:
        yield workers
    assert multiprocessing.active_children() == []


def test_a_run_that_fails_leaves_the_others_to_run(
    workers: Workers, root: Path, tmp_path: Path
) -> None:
    options: dict[str, dict[str, object]] = {
        "diverges": {"strategy": "naive", "learning_rate": 1e30, "clip": 1e30},
        "refused": {"memory_mb": 0.00001},
        "finished": {"strategy": "naive"},
    }
    log = JobLog()
    for job in list_jobs(root, tmp_path, **options):
        workers.run([job], log)
    assert log.most_workers == 1  # there was never more than one run to make
    assert "--learning-rate 1e+30" in log.endings["diverges"].problem
    assert "bytes" in log.endings["refused"].problem
    assert log.endings["finished"].problem == ""
    assert read_run(tmp_path / "diverges").status == "failed"
    assert read_run(tmp_path / "finished").status == "finished"


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_run_alone_which_can_be_resumed(
    workers: Workers, root: Path, tmp_path: Path
) -> None:
    killed, other = list_jobs(root, tmp_path, killed={"epochs": 5}, other={"strategy": "naive"})
    log = JobLog(kill="killed")
    workers.run([killed], log)
    problem = log.endings["killed"].problem
    assert problem.startswith("killed: its process was killed by SIGKILL")
    assert "resumes" in problem
    again = JobLog()
    workers.run([other], again)
    workers.run([killed], again)
    assert [ending.problem for ending in again.endings.values()] == ["", ""]
    assert read_run(tmp_path / "killed").status == "finished"


@pytest.fixture
def heard_interrupts() -> Iterator[None]:
    """Python's own handler of SIGINT, which a suite in a shell's background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard_interrupts")
def test_ctrl_c_that_another_thread_takes_waits_until_a_worker_has_started() -> None:
    begun, sent = threading.Event(), threading.Event()

    def take() -> None:  # not blocked here: the mask of the other thread is its own
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)
        sent.set()

    thread = threading.Thread(target=take)
    thread.start()
    started = False
    with pytest.raises(KeyboardInterrupt), _without_interrupts():
        begun.set()
        sent.wait()
        started = True  # so does the start of a process
    assert started
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_an_error_in_the_program_ends_the_grid_with_its_traceback(
    workers: Workers, root: Path, tmp_path: Path
) -> None:
    (job,) = list_jobs(root, tmp_path, run={})
    without_options = replace(job, config=None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="run failed in its process:\nTraceback"):
        workers.run([without_options], JobLog())


@pytest.mark.slow
def test_an_error_of_the_machine_ends_the_grid_with_one_line(
    workers: Workers, root: Path, tmp_path: Path
) -> None:
    (job,) = list_jobs(root, tmp_path, run={})
    (tmp_path / "run").write_text("a file")  # where the run makes its folder
    with pytest.raises(UserError, match=r"run: .*File exists"):
        workers.run([job], JobLog())
