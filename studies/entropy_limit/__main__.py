"""Run the study: `python -m studies.entropy_limit`."""

from seit_cl.core.cli import run_command
from studies.entropy_limit.study import main

run_command(main)
