"""`python -m seit_cl.pretrain`: pre-train a learner's network without labels, for --init."""

from __future__ import annotations

import sys

from rich.console import Console

from seit_cl.core.cli import MODULE, run_command
from seit_cl.core.importing import importing
from seit_cl.pretraining.options import parse


def main() -> None:
    """Run the command."""
    options = parse(sys.argv[1:])
    # Imported now, since torch takes seconds: --help and wrong options are answered without it.
    with importing():
        from seit_cl.core.devices import limit_threads
        from seit_cl.pretraining.command import next_command, pretrain

    console = Console(soft_wrap=True)
    limit_threads()
    training = pretrain(options, console)
    length = f"{training.step:,} steps, {training.passes:.1f} passes over the images"
    run = f"{MODULE}.run --init {options.out} {next_command(options.config)}"
    console.print(
        f"{options.out}: loss {training.loss:.4f} after {length}; next: {run}", highlight=False
    )


if __name__ == "__main__":
    run_command(main)
