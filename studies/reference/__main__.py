"""Run the study: `python -m studies.reference`."""

from seit_cl.core.cli import run_command
from studies.reference.study import main

run_command(main)
