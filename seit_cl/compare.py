"""Compare tokens with images at equal bytes: run what the comparison needs, then write its tables.

The rival of tokens at a budget is the best of several image formats and qualities. Candidates are
ranked without training. The best few of every kind are trained on a part of the training images
and tested on the others; the best one is then trained on all of them and tested on the test images,
with the best JPEG beside it.

Takes every option of `python -m seit_cl.run` in addition to its own, except strategy, format,
learner and seed, which the stages choose. Unless --fill says otherwise, the memories of all runs
are filled after each experience. Each stage is a grid of runs in the same --out. Finished
runs are skipped and interrupted ones resume, so the same command resumes the comparison. Stages may
run on different machines; copy their folders into one --out.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tyro
from rich.console import Console

from seit_cl.command_line import parse
from seit_cl.comparison.options import ComparisonOptions
from seit_cl.core.cli import parse_line, program, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.files import make_writable_folder
from seit_cl.core.importing import importing

if TYPE_CHECKING:
    from seit_cl.comparison.plan import Plan
    from seit_cl.comparison.pool import Pool

CHOSEN_BY_STAGES = ("strategy", "format", "learner", "seed", "test-on", "only")
SWEPT = {"sweep", "pixels"}  # stages with a sweep, whose candidates are ranked first


def parse_options(arguments: list[str]) -> tuple[ComparisonOptions, Any]:
    """Return the comparison's options and those of its runs.

    Args:
        arguments: words of the command line.

    Raises:
        UserError: no --out, an unknown option, or one that the stages choose.
    """
    options, rest = parse_line(
        lambda: tyro.cli(
            ComparisonOptions,
            args=arguments,
            prog=program("compare"),
            description=__doc__,
            return_unknown_args=True,
        ),
        arguments,
    )
    words = [word.partition("=")[0] for word in rest]
    for name in CHOSEN_BY_STAGES:
        if f"--{name}" in words:
            raise UserError(
                f"--{name}: the stages choose it; leave it out, or use python -m seit_cl.run"
            )
    run_options = parse(rest)
    if run_options.fill == "default":
        # Every arm of a comparison fills its memory at one time, whatever its strategy.
        run_options = replace(run_options, fill="after")
    if run_options.out is None:
        raise UserError("--out: give the folder of the results, so that the command can resume")
    if len(run_options.class_order_seed) > 1:
        raise UserError(
            "--class-order-seed: a comparison has one class order, or one for each seed: give one "
            "value, and --paired-orders if each seed is to have its own"
        )
    if min(options.seeds, options.claim_seeds) < 1:
        raise UserError("--seeds and --claim-seeds must be at least 1")
    if options.trained < 0:
        raise UserError(f"--trained {options.trained}: must be 0 (all candidates) or more")
    return options, run_options


def run_stages(plan: Plan, pool: Pool, console: Console) -> None:
    """Run what is missing, stage by stage; only print it where --dry-run is given."""
    from seit_cl.comparison.plan import STAGES_AFTER_SWEEP
    from seit_cl.comparison.pool import finished_run
    from seit_cl.grid import run_id

    dry_run = plan.options.dry_run
    if not dry_run and SWEPT.intersection(plan.options.stages):
        plan.rank(console)
    for name, list_runs in plan.stages():
        if name not in plan.options.stages:
            continue
        configs = list_runs()
        missing = [config for config in configs if finished_run(config, plan.out) is None]
        line = f"{name}: {len(configs)} runs, {len(missing)} of them to do"
        if dry_run and name in STAGES_AFTER_SWEEP:
            line += ", as far as the sweep is finished"
        console.print(line, highlight=False)
        if dry_run:
            for config in missing:
                console.print(f"  {run_id(config)}", highlight=False)
        elif missing:
            pool.run_all(missing)


def main() -> None:
    """Run the command."""
    options, run_options = parse_options(sys.argv[1:])
    # Imported now, since torch takes seconds: --help and wrong options are answered without it.
    with importing():
        from seit_cl.comparison.page import comparison_page
        from seit_cl.comparison.plan import Plan
        from seit_cl.comparison.pool import Pool
        from seit_cl.launch import Launch
        from seit_cl.reporting.build import build_report
        from seit_cl.reporting.markdown import publish, typed_command

    out = run_options.out
    if not options.dry_run:
        make_writable_folder(out, "--out")
    launch = Launch.of(run_options)
    plan = Plan(options, run_options, out)
    console = Console(soft_wrap=True)
    command = f"{program('compare')} {shlex.join(sys.argv[1:])}"
    with Pool(launch, plan.learners, out, command, console) as pool:
        run_stages(plan, pool, console)
    if options.dry_run:
        return
    print(f"report: {build_report(out)}")
    publish(comparison_page(out, typed_command("seit_cl.compare")), options.write)


if __name__ == "__main__":
    run_command(main)
