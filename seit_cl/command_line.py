"""The command line of a run or of a grid of runs, read without importing torch."""

from __future__ import annotations

import argparse
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from seit_cl.config import (
    GRID,
    OPERATIONS,
    SIZES,
    RunConfig,
    TrackerKind,
    option_names,
)
from seit_cl.core import plugins
from seit_cl.core.cli import OutPath, hint, parse_line, program
from seit_cl.core.errors import UserError, nearest, reading
from seit_cl.core.extras import check_extra
from seit_cl.core.options import check_range, flag, help_line
from seit_cl.core.sizes import operations_reader, size_reader
from seit_cl.core.specs import Spec
from seit_cl.core.yaml_text import read_yaml
from seit_cl.data.class_lists import class_list_word, read_class_lists
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.formats import check_format_name
from seit_cl.launch import Launch, LauncherKind
from seit_cl.models import TrainedPart, check_model_name

DESCRIPTION = (
    "Continual learning with a replay memory of a fixed number of bytes; "
    "several values make a grid."
)

YAML_COMMAND_OPTIONS = ("paired_orders",)  # options of the command that say which runs there are


@dataclass(frozen=True)
class _CommandOptions:
    """Options of the command that do not belong to a single run."""

    out: Annotated[OutPath | None, hint("folder of the results; none: runs/<time>-<dataset>")] = (
        None
    )
    config: Annotated[
        Path | None, hint("YAML file of options, which the command line overrides")
    ] = None
    jobs: Annotated[
        int,
        hint(
            "runs beside one another, which share the CPU's cores, the GPU and one copy of the "
            "data; the same runs as with 1, up to rounding: each has fewer threads"
        ),
    ] = 1
    launcher: Annotated[
        LauncherKind,
        hint(
            "where runs are made: local (--jobs), ray (tasks of a cluster) or slurm (an array of "
            "jobs)"
        ),
    ] = "local"
    ray_address: Annotated[
        str,
        hint(
            "Ray cluster, auto for this machine's, local to start one; empty: RAY_ADDRESS, auto or "
            "local"
        ),
    ] = ""
    run_cpus: Annotated[int, hint("cores of a run on ray or slurm")] = 1
    run_gpus: Annotated[float, hint("GPUs of a run on ray or slurm; 0.25: four runs share one")] = 0
    slurm: Annotated[
        tuple[str, ...],
        hint("parameters of the jobs, as submitit names them: partition=gpu timeout_min=240"),
    ] = ()
    tracker: Annotated[TrackerKind, hint("log the run to TensorBoard or Weights & Biases")] = "none"
    preset: Annotated[
        bool,
        hint(
            "use the value that the scenario recommends (python -m seit_cl.scenarios) for every "
            "option that is not given"
        ),
    ] = False
    paired_orders: Annotated[
        bool,
        hint(
            "give every seed a class order of its own: --seed S has the class order seed "
            "--class-order-seed + S"
        ),
    ] = False
    only: Annotated[
        tuple[str, ...],
        hint(
            "make only the runs of the grid whose names match: patterns of the shell, such as "
            "'er_*_seed0', or parts of a name"
        ),
    ] = ()
    dry_run: Annotated[
        bool, hint("list the runs and their states, and make none; nothing is written")
    ] = False
    debug: Annotated[bool, hint("show tracebacks of user errors")] = False


def parse(arguments: Sequence[str]) -> Any:
    """Read a command line, and the YAML file and the preset that it names.

    Args:
        arguments: words of the command line, without the program's name.

    Returns:
        The options of `RunConfig`, with tuples for the dimensions of the grid, and those of the
        command itself.

    Raises:
        UserError: an unknown option, a value of the wrong type, or an option of another launcher.
    """
    options_type = _options_type()
    _refuse_unknown_options(arguments, [flag(option.name) for option in fields(options_type)])
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", nargs="?", type=Path)
    config_path = finder.parse_known_args(arguments)[0].config
    options = _read(options_type(), config_path, arguments)
    _check_values(options)
    if options.preset:
        preset = replace(options_type(), **preset_options(options.scenario))
        options = _read(preset, config_path, arguments)
    Launch.of(options)
    return options


def _check_values(options: Any) -> None:
    """Check what is known of values before torch and plugins are imported: ranges and names.

    Raises:
        UserError: a value outside its range, an unknown plugin, or a tracker that is not installed.
    """
    for declared in fields(RunConfig):
        value = getattr(options, declared.name)
        for one in value if declared.name in GRID else (value,):
            check_range(declared, one)
    for spec in options.strategy:
        plugins.place("strategy", Spec.parse(spec).name)
    for spec in filter(None, options.format):  # a run without memory records no format
        check_format_name(spec)
    check_model_name(options.model)
    TrainedPart.parse(options.train)
    plugins.place("schedule", Spec.parse(options.schedule).name)
    plugins.place("scenario", Spec.parse(options.scenario).name)
    plugins.place("policy", Spec.parse(options.policy).name)
    if options.tracker != "none":
        check_extra(options.tracker, options.tracker, f"--tracker {options.tracker}")


def _options_type() -> type[Any]:
    """The dataclass of all options on the command line, where the grid's dimensions are tuples."""
    members = [run_option(name, several=name in GRID) for name in option_names()]
    command_types = get_type_hints(_CommandOptions, include_extras=True)
    for option in fields(_CommandOptions):
        members.append((option.name, command_types[option.name], field(default=option.default)))
    return make_dataclass("Run", members, frozen=True)


def run_option(name: str, several: bool = False) -> tuple[str, Any, Any]:
    """Declare an option of a run for a command, as a member of `dataclasses.make_dataclass`.

    Args:
        name: of an option of `RunConfig`, whose type, default and help line it has.
        several: True for an option of several values.
    """
    value_type = get_type_hints(RunConfig)[name]
    default = getattr(RunConfig, name)
    if name in SIZES:
        value_type = annotated(float, size_reader(flag(name)))
    elif name in OPERATIONS:
        value_type = annotated(float, operations_reader(flag(name)))
    elif name == "class_lists":
        value_type = annotated(value_type, _class_lists_reader())
    if several:
        value_type = tuple.__class_getitem__((value_type, ...))
        default = (default,)
    annotation = annotated(value_type, hint(help_line(RunConfig, name)))
    return name, annotation, field(default=default)


def _class_lists_reader() -> Any:
    """Metadata that makes tyro read class lists, a word for each experience or a file."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="[NAME,NAME [NAME,NAME ...]]",
        instance_from_str=read_class_lists,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [class_list_word(names) for names in value],
    )


def annotated(value_type: Any, note: Any) -> Any:
    """`Annotated[value_type, note]`, for types that are known at run time only."""
    return operator.getitem(Annotated, (value_type, note))  # type: ignore[call-overload]


def _refuse_unknown_options(arguments: Sequence[str], flags: Sequence[str]) -> None:
    """Report an unknown option with the nearest names; tyro would list all options.

    Raises:
        UserError: an argument that starts with "--" and is not an option.
    """
    for word in arguments:
        option = word.partition("=")[0].replace("_", "-")
        if not option.startswith("--") or option == "--help":
            continue
        positive = option.replace("--no-", "--", 1)
        if option not in flags and positive not in flags:
            raise UserError(f"unknown option {option}; {nearest(option, flags)}")


def _read(defaults: Any, config_path: Path | None, arguments: Sequence[str]) -> Any:
    """The options of a YAML file, where there is one, and of a command line, on top of defaults.

    Raises:
        UserError: an option or a value that tyro refuses.
    """
    if config_path is not None:
        try:
            defaults = _read_words(defaults, yaml_arguments(config_path))
        except UserError as error:
            if "--config" in str(error):
                raise
            raise UserError(f"--config {config_path}: {error}") from error
    return _read_words(defaults, arguments)


def _read_words(defaults: Any, words: Sequence[str]) -> Any:
    """Parse the words of a command line on top of defaults."""
    return parse_line(
        lambda: tyro.cli(
            type(defaults),
            args=words,
            default=defaults,
            prog=program("run"),
            description=DESCRIPTION,
        ),
        words,
    )


def yaml_arguments(path: Path) -> list[str]:
    """Turn a YAML file of options into words of a command line, which are checked as such.

    Raises:
        UserError: the file is unreadable, is no mapping, or has unknown keys.
    """
    with reading(f"--config {path}", "not readable as YAML", "give a YAML file of options"):
        options = read_yaml(path.read_text(encoding="utf-8"))
    if not isinstance(options, dict):
        raise UserError(f"--config {path}: holds no options; write lines like 'epochs: 10'")
    names = (*option_names(), *YAML_COMMAND_OPTIONS)
    words: list[str] = []
    for name, value in options.items():
        if name not in names:
            advice = nearest(str(name), names)
            raise UserError(f"--config {path}: unknown option {name!r}; {advice}")
        if isinstance(value, bool):
            words.append(flag(name) if value else flag(f"no_{name}"))
            continue
        values = value if isinstance(value, list) else [value]
        words.append(flag(name))
        words += [class_list_word(v) if isinstance(v, list) else str(v) for v in values]
    return words


def preset_options(scenario: str) -> dict[str, Any]:
    """Return the options that a scenario recommends, as the command line would give them.

    Args:
        scenario: its spec.

    Raises:
        UserError: it recommends nothing, or is unknown.
    """
    preset = build_recipe(scenario).preset
    if not preset:
        raise UserError(f"--preset: --scenario {scenario} recommends nothing; leave --preset out")
    options: dict[str, Any] = {}
    for name, value in preset.items():
        if isinstance(value, list | tuple):
            options[name] = tuple(value)
        elif name in GRID:
            options[name] = (value,)
        else:
            options[name] = value
    return options
