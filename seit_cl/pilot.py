"""Own photographs to a decision about their storage, in one command.

Trains a tokenizer on the training images (the bundled one is taken where it is better), makes a
small continual run of each format (everything kept, and in memories that bind), measures what
formats keep of an image, prices a stream of images over time, and writes a page in plain words:
--out/pilot.html. The same command goes on after an interruption; stages that are done are left out.
Other prices need no new run.
"""

from __future__ import annotations

import shlex
import sys

from rich.console import Console

from seit_cl.core.cli import program, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.extras import check_extra
from seit_cl.core.files import make_writable_folder
from seit_cl.core.importing import importing
from seit_cl.piloting.options import parse

INTERRUPTED = 130  # exit code, as shells report SIGINT


def main() -> None:
    """Run the command.

    Raises:
        UserError: wrong options or data, or runs that failed.
    """
    options = parse(sys.argv[1:], __doc__)
    check_extra("torchmetrics", "density", program("pilot"))
    # Imported now, since torch takes seconds: --help and wrong options are answered without it.
    with importing():
        from seit_cl.core.devices import limit_threads
        from seit_cl.piloting.own_tokenizer import choose_tokenizer
        from seit_cl.piloting.page import write_page
        from seit_cl.piloting.plan import make_plan, open_photographs, write_left_out
        from seit_cl.piloting.results import chosen_formats, read_results
        from seit_cl.piloting.stages import make_runs, measure_formats

    console = Console(soft_wrap=True)
    command = f"{program('pilot')} {shlex.join(sys.argv[1:])}"
    limit_threads()
    dataset, side, left_out = open_photographs(options)
    make_writable_folder(options.folder, "--out")
    write_left_out(options, left_out)
    try:
        console.print("1 of 3: the tokenizer")
        tokenizer = choose_tokenizer(options, dataset.train.images, side, console)
        plan = make_plan(options, dataset, side, tokenizer)
        count = len(plan.all_configs())
        console.print(f"2 of 3: {count} runs; those that keep everything do not fill their memory")
        if plan.advice():
            console.print(plan.advice(), markup=False, highlight=False)
        failures = make_runs(plan, console, command)
        results = read_results(plan)
        if not results:
            raise UserError(failures[0])
        console.print("3 of 3: what formats keep of an image")
        density = measure_formats(plan, chosen_formats(plan, results), console)
    except KeyboardInterrupt:
        console.print(f"interrupted; this resumes: {command}", markup=False, highlight=False)
        sys.exit(INTERRUPTED)
    page, sentences = write_page(plan, results, density, failures, command)
    for line in [*sentences, f"page: {page}"]:
        console.print(line, markup=False, highlight=False)


if __name__ == "__main__":
    run_command(main)
