"""Run the study: `python -m studies.ablation`."""

from seit_cl.core.cli import run_command
from studies.ablation.study import main

run_command(main)
