"""The options of launchers: each belongs to one of them."""

from typing import Any

import pytest

from seit_cl.command_line import parse
from seit_cl.config import option_names
from seit_cl.core.errors import UserError
from seit_cl.launch import Launch


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "--jobs 0: must be at least 1"),
        ({"run_cpus": 0}, "--run-cpus 0: must be at least 1"),
        ({"run_gpus": -1.0}, "--run-gpus -1.0: must be 0 or more"),
        ({"run_gpus": float("nan")}, "--run-gpus nan: must be 0 or more"),
        ({"kind": "ray", "jobs": 2}, "--jobs 2: is for --launcher local; with ray, --run-cpus"),
        ({"ray_address": "auto"}, "--ray-address auto: needs --launcher ray"),
        ({"kind": "ray", "slurm": ("time=1",)}, "--slurm time=1: needs --launcher slurm"),
    ],
)
def test_an_option_of_another_launcher_or_out_of_range_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Launch(**options)


def test_the_command_line_gives_every_option() -> None:
    words = "--launcher slurm --run-cpus 4 --run-gpus 1 --slurm partition=gpu timeout_min=60"
    launch = Launch.of(parse(words.split()))
    assert launch == Launch(
        "slurm", run_cpus=4, run_gpus=1.0, slurm=("partition=gpu", "timeout_min=60")
    )


def test_without_options_runs_are_made_one_after_the_other_in_this_process() -> None:
    launch = Launch.of(parse([]))
    assert launch.in_this_process
    assert not Launch(jobs=2).in_this_process
    assert not Launch("ray").in_this_process


def test_options_of_a_launcher_are_no_part_of_a_run() -> None:
    assert not {"launcher", "ray_address", "run_cpus", "run_gpus", "slurm"} & set(option_names())
