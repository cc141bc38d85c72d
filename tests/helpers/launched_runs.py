"""Runs on the colours, made by a launcher and compared with those of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from helpers.colour_stream import OPTIONS
from seit_cl.config import RunConfig
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.launchers.jobs import Job
from seit_cl.results.summary import rebuild_summary

RESULTS = ("accuracy.csv", "memory.csv", "memory.bin", "exemplars.npz", "config.yaml")


def list_jobs(root: Path, out: Path, **named: dict[str, Any]) -> list[Job]:
    """Return runs with the options of each by name.

    Args:
        root: of the data.
        out: folder of the results.
        named: options of RunConfig besides OPTIONS.
    """
    made = []
    for name, options in named.items():
        config = RunConfig(**{"data_root": root, **OPTIONS, **options})
        made.append(Job(config, out / name))
    return made


def run_here(jobs: list[Job], out: Path) -> None:
    """Make runs in this process, into folders of the same names in `out`."""
    data = RunData(jobs[0].config)
    for job in jobs:
        Experiment(job.config, data, out / job.run_dir.name).run()


def require_same_results(first: Path, second: Path) -> None:
    """Fail unless two folders of results have the same runs with the same numbers."""
    rows = [summary_without_times(folder) for folder in (first, second)]
    pd.testing.assert_frame_equal(*rows)
    for name in rows[0].index:
        for file in RESULTS:
            written, other = (first / name / file, second / name / file)
            assert written.exists() == other.exists(), (name, file)  # a run may have no memory
            if written.exists():
                assert written.read_bytes() == other.read_bytes(), (name, file)


def summary_without_times(out: Path) -> pd.DataFrame:
    """The summary of a folder of results by run, without what no seed determines."""
    return rebuild_summary(out).set_index("run_id").sort_index().drop(columns="train_seconds")
