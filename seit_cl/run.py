"""`python -m seit_cl.run`: parse, expand the grid, run the experiments, make the report."""

from __future__ import annotations

import itertools
import re
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import tyro
import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from seit_cl import checkpoint, results
from seit_cl.assembly import build_strategy
from seit_cl.cli import parse_line, run_command
from seit_cl.config import GRID, RunConfig, option_names
from seit_cl.errors import UserError, nearest
from seit_cl.experiment import Experiment, Now
from seit_cl.formats import canonical_spec
from seit_cl.report import build_report, load_summary, terminal_summary
from seit_cl.rundata import RunData


@dataclass(frozen=True)
class _Extra:
    out: Annotated[Path | None, tyro.conf.arg(help="folder of the results; none: runs/<time>-<dataset>")] = None
    config: Annotated[Path | None, tyro.conf.arg(help="YAML file of options; the command line overrides it")] = None
    debug: Annotated[bool, tyro.conf.arg(help="show tracebacks of user errors")] = False


def _command_type() -> type[Any]:
    """RunConfig with tuples in the grid's dimensions, and the options of the command itself."""
    hints = get_type_hints(RunConfig, include_extras=True)
    members: list[Any] = []
    for option in fields(RunConfig):
        kind, help_text = get_args(hints[option.name])
        default = option.default
        if option.name in GRID:
            kind, default = tuple.__class_getitem__((kind, ...)), (default,)
        members.append((option.name, Annotated[kind, help_text], field(default=default)))
    extra = get_type_hints(_Extra, include_extras=True)
    members += [(f.name, extra[f.name], field(default=f.default)) for f in fields(_Extra)]
    return make_dataclass("Run", members, frozen=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """Options from a YAML file.

    Raises:
        UserError: unreadable, not a mapping, or with unknown keys.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"--config {path}: {error.__class__.__name__}; give a YAML file of options") from error
    if not isinstance(found, dict):
        raise UserError(f"--config {path}: holds no options; write lines like 'epochs: 10'")
    for key in found:
        if key not in option_names():
            raise UserError(f"--config {path}: unknown option {key!r}; {nearest(str(key), option_names())}")
    for key, value in found.items():
        if key in GRID:
            found[key] = tuple(value) if isinstance(value, list) else (value,)
        elif key in ("data_root", "tokenizer") and value is not None:
            found[key] = Path(value)
        elif isinstance(value, list):
            found[key] = tuple(value)
    return found


def parse(arguments: list[str]) -> Any:
    """The command line as options; what tyro refuses becomes one line.

    Raises:
        UserError: an unknown option or a value of the wrong type.
    """
    kind = _command_type()
    known = [f"--{f.name.replace('_', '-')}" for f in fields(kind)]
    for word in arguments:
        option = word.partition("=")[0].replace("_", "-")
        if option.startswith("--") and option.removeprefix("--no-") not in [k.removeprefix("--") for k in known] \
                and option not in (*known, "--help"):  # fmt: skip
            raise UserError(f"unknown option {option}; {nearest(option, known)}")
    defaults = {}
    for index, word in enumerate(arguments[:-1]):
        if word == "--config":
            defaults = read_yaml(Path(arguments[index + 1]))
    description = "Continual learning with a replay memory of a fixed number of bytes; several values make a grid."
    return parse_line(lambda: tyro.cli(
        kind, args=arguments, default=kind(**defaults), prog="python -m seit_cl.run", description=description
    ))  # fmt: skip


def expand(options: Any) -> list[RunConfig]:
    """The grid's runs, each once; a dimension that cannot change a run is left at one value.

    Raises:
        UserError: no runs are left, an option outside its range, or none given for a dimension.
    """
    for name in GRID:
        if not getattr(options, name):
            raise UserError(f"--{name.replace('_', '-')}: give one value or several")
    plain = {name: getattr(options, name) for name in option_names() if name not in GRID}
    runs: dict[RunConfig, RunConfig] = {}
    for values in itertools.product(*(getattr(options, name) for name in GRID)):
        config = RunConfig(**plain, **dict(zip(GRID, values, strict=True)))
        if build_strategy(config).exemplar_free or config.memory_mb == 0:
            config = replace(config, format="", memory_mb=0.0)
        elif config.learner == "pixels" and config.format.startswith("tokens"):
            continue
        same = replace(config, format=canonical_spec(config.format)) if config.format else config
        runs.setdefault(same, config)
    if not runs:
        raise UserError("--learner pixels cannot learn from tokens; add --format jpeg or raw, or use --learner tokens")
    return list(runs.values())


def run_id(config: RunConfig) -> str:
    """A folder name that tells the grid's dimensions."""
    parts = [config.strategy, config.learner, f"seed{config.seed}"]
    if config.memory_mb:
        parts[2:2] = [config.format, f"{config.memory_mb:.12g}MB"]
    return "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", part).strip("-") for part in parts)


def is_finished(config: RunConfig, run_dir: Path) -> bool:
    """Whether the run stands finished in its folder.

    Raises:
        UserError: the folder holds a run of another configuration.
    """
    if not (run_dir / "config.yaml").exists():
        return False
    stored = yaml.safe_load((run_dir / "config.yaml").read_text()) or {}
    for key, value in config.plain().items():
        if stored.get(key) != value:
            raise UserError(f"--out {run_dir.parent}: {run_dir.name} was made with {key} {stored.get(key)!r}, not {value!r}; "
                            "choose another --out")  # fmt: skip
    return results.read_run(run_dir).status == "finished" and not checkpoint.pending(run_dir)


def _run_progress(bar: Progress, title: str) -> Callable[[Now], None]:
    task = bar.add_task(title, total=1.0)

    def show(now: Now) -> None:
        epochs = now.experience * now.epochs + now.epoch + now.step / now.steps
        where = f"experience {now.experience + 1}/{now.experiences}, epoch {min(now.epoch + 1, now.epochs)}/{now.epochs}"
        speed = f"{now.samples / max(now.seconds, 1e-9):,.0f} images/s"
        bar.update(task, completed=epochs / (now.experiences * now.epochs), description=f"{title}: {where}, {speed}")

    return show


def _data_progress(bar: Progress) -> Callable[[str, int, int], None]:
    started: dict[tuple[str, int], tuple[TaskID, float]] = {}

    def show(what: str, done: int, total: int) -> None:
        if (what, total) not in started:
            started[what, total] = bar.add_task(what, total=total), time.monotonic()
        task, began = started[what, total]
        speed = done / max(time.monotonic() - began, 1e-9)
        bar.update(task, completed=done, description=f"{what}: {done:,} of {total:,} images, {speed:,.0f}/s")

    return show


def run_grid(configs: list[RunConfig], out: Path, console: Console) -> None:
    """Run what is not finished yet, one after the other, with a bar each; every run is checked before the first one starts.

    Raises:
        UserError: options that do not fit the data, or results of other options in `out`.
    """
    waiting = [c for c in configs if not is_finished(c, out / run_id(c))]
    if len(waiting) < len(configs):
        console.print(f"{len(configs) - len(waiting)} of {len(configs)} runs are finished already")
    if not waiting:
        return
    command = "python -m seit_cl.run " + shlex.join(sys.argv[1:])
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        data = RunData(waiting[0], _data_progress(bar))
        console.print(f"dataset {data.dataset.name}: {len(data.dataset.classes)} classes, {len(data.dataset.train)} train and "
                      f"{len(data.dataset.val)} val images at {data.resolution} px")  # fmt: skip
        for learner in {c.learner: None for c in waiting}:
            data.prepare(learner)
        for config in waiting:
            Experiment(config, data, out / run_id(config), command)
        for config in waiting:
            run_dir = out / run_id(config)
            experiment = Experiment(config, data, run_dir, command, _run_progress(bar, run_dir.name))
            experiment.run()
            say_of_memory(experiment, console)


def say_of_memory(experiment: Experiment, console: Console) -> None:
    """Tell of a budget that did not bind, or that leaves classes out."""
    memory = experiment.memory
    if memory is None:
        return
    used, budget = memory.used_bytes / 1e6, memory.budget_bytes / 1e6
    if not memory.full and not memory.skipped:
        console.print(f"{experiment.run_dir.name}: the budget did not bind: {used:.3g} of {budget:g} MB used; "
                      f"try --memory-mb {used / 5:.1g}")  # fmt: skip
    if memory.skipped:
        console.print(f"{experiment.run_dir.name}: warning: {memory.skipped} samples had records larger than the whole memory; "
                      "raise --memory-mb")  # fmt: skip
    if memory.classes_covered < len(experiment.names):
        console.print(f"{experiment.run_dir.name}: warning: the memory covers {memory.classes_covered} of "
                      f"{len(experiment.names)} classes; raise --memory-mb")  # fmt: skip


def main() -> None:
    """The command."""
    options = parse(sys.argv[1:])
    console = Console(soft_wrap=True)
    configs = expand(options)
    if options.data_root is None:
        console.print("no --data-root: running on the built-in fractals; for ImageNet give --data-root DIR with "
                      "train/<class>/* and val/<class>/*")  # fmt: skip
    name = options.data_root.resolve().name if options.data_root else "fractals"
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise UserError(f"--out {options.out}: is a file; give a folder")
    out = options.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    try:
        run_grid(configs, out, console)
    except KeyboardInterrupt:
        arguments = sys.argv[1:] if options.out else [*sys.argv[1:], "--out", str(out)]
        console.print(f"interrupted; this resumes: python -m seit_cl.run {shlex.join(arguments)}")
        sys.exit(130)
    report = build_report(out)
    terminal_summary(load_summary(out))
    console.print(f"results: {out / 'summary.csv'}; report: {report}")


if __name__ == "__main__":
    run_command(main)
