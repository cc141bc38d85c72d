"""What a command line means: options, YAML files of options, the grid's runs, and the folder of each."""

from __future__ import annotations

import argparse
import itertools
import re
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro
import yaml

from seit_cl.config import GRID, RunConfig, option_names
from seit_cl.core.cli import hint, parse_line
from seit_cl.core.errors import UserError, nearest
from seit_cl.core.options import help_line
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.experiment import checkpoint
from seit_cl.experiment.build import build_strategy, canonical_strategy
from seit_cl.experiment.tracking import Kind
from seit_cl.formats import canonical_spec
from seit_cl.results import run_files
from seit_cl.results.renamed import present_spec, spellings


@dataclass(frozen=True)
class _Extra:
    out: Annotated[
        Path | None, tyro.conf.arg(help="folder of the results; none: runs/<time>-<dataset>")
    ] = None
    config: Annotated[
        Path | None, tyro.conf.arg(help="YAML file of options; the command line overrides it")
    ] = None
    tracker: Annotated[
        Kind, tyro.conf.arg(help="show the run's course in TensorBoard or Weights & Biases")
    ] = "none"
    preset: Annotated[
        bool,
        tyro.conf.arg(
            help="take what the scenario recommends (python -m seit_cl.scenarios) for every option that is not given"
        ),
    ] = False
    debug: Annotated[bool, tyro.conf.arg(help="show tracebacks of user errors")] = False


def _annotated(value_type: Any, note: Any) -> Any:
    """`Annotated[value_type, note]`, for types that are known at run time only."""
    return Annotated.__class_getitem__((value_type, note))  # type: ignore[attr-defined]


def _command_type() -> type[Any]:
    """RunConfig with tuples in the grid's dimensions, and the options of the command itself."""
    types = get_type_hints(RunConfig)
    members: list[Any] = []
    for name in option_names():
        value_type = types[name]
        default = getattr(RunConfig, name)
        if name in GRID:
            value_type = tuple.__class_getitem__((value_type, ...))
            default = (default,)
        annotation = _annotated(value_type, hint(help_line(RunConfig, name)))
        members.append((name, annotation, field(default=default)))
    extra = get_type_hints(_Extra, include_extras=True)
    members += [(f.name, extra[f.name], field(default=f.default)) for f in fields(_Extra)]
    return make_dataclass("Run", members, frozen=True)


def yaml_arguments(path: Path) -> list[str]:
    """The options of a YAML file as words of a command line, so that they are checked as such.

    Raises:
        UserError: unreadable, not a mapping, or with unknown keys.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not YAML"
        raise UserError(f"--config {path}: {reason}; give a YAML file of options") from error
    if not isinstance(found, dict):
        raise UserError(f"--config {path}: holds no options; write lines like 'epochs: 10'")
    words: list[str] = []
    for key, value in found.items():
        if key not in option_names():
            raise UserError(
                f"--config {path}: unknown option {key!r}; {nearest(str(key), option_names())}"
            )
        option = str(key).replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [
                f"--{option}",
                *(str(v) for v in (value if isinstance(value, list) else [value])),
            ]
    return words


def parse(arguments: list[str]) -> Any:
    """The command line as options; what tyro refuses becomes one line.

    Raises:
        UserError: an unknown option or a value of the wrong type.
    """
    kind = _command_type()
    known = [f"--{f.name.replace('_', '-')}" for f in fields(kind)]
    for word in arguments:
        option = word.partition("=")[0].replace("_", "-")
        if (
            option.startswith("--")
            and option.removeprefix("--no-") not in [k.removeprefix("--") for k in known]
            and option not in (*known, "--help")
        ):
            raise UserError(f"unknown option {option}; {nearest(option, known)}")
    description = "Continual learning with a replay memory of a fixed number of bytes; several values make a grid."

    def read(words: list[str], default: Any) -> Any:
        return parse_line(
            lambda: tyro.cli(
                kind,
                args=words,
                default=default,
                prog="python -m seit_cl.run",
                description=description,
            )
        )

    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", nargs="?", type=Path)
    path = finder.parse_known_args(arguments)[0].config

    def given(default: Any) -> Any:
        """The options of --config's file and the command line, on top of a default."""
        if path is not None:
            try:
                default = read(yaml_arguments(path), default)
            except UserError as error:
                raise (
                    error if "--config" in str(error) else UserError(f"--config {path}: {error}")
                ) from error
        return read(arguments, default)

    options = given(kind())
    return given(replace(kind(), **preset_options(options.scenario))) if options.preset else options


def preset_options(scenario: str) -> dict[str, Any]:
    """What a scenario recommends, as values of the command's options.

    Args:
        scenario: its spec.

    Raises:
        UserError: it recommends nothing, or is unknown.
    """
    preset = build_recipe(scenario).preset
    if not preset:
        raise UserError(f"--preset: --scenario {scenario} recommends nothing; leave --preset out")
    return {
        name: tuple(value)
        if isinstance(value, list | tuple)
        else (value,)
        if name in GRID
        else value
        for name, value in preset.items()
    }


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
        same = replace(config, strategy=canonical_strategy(config))
        runs.setdefault(
            replace(same, format=canonical_spec(config.format)) if config.format else same, config
        )
    if not runs:
        raise UserError(
            "--learner pixels cannot learn from tokens; add --format jpeg or raw, or use --learner tokens"
        )
    return list(runs.values())


def run_id(config: RunConfig) -> str:
    """A folder name that tells the grid's dimensions."""
    parts = [config.strategy, config.learner, f"seed{config.seed}"]
    if config.memory_mb:
        parts[2:2] = [config.format, f"{config.memory_mb:.12g}MB"]
    return "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", part).strip("-") for part in parts)


def run_folder(out: Path, config: RunConfig) -> Path:
    """The folder of a run in `out`: an existing one, whose format may have an earlier spelling, or that of `run_id`."""
    folders = [out / run_id(replace(config, format=spec)) for spec in spellings(config.format)]
    existing = [folder for folder in folders if folder.exists()]
    return existing[0] if existing else folders[0]


def is_finished(config: RunConfig, run_dir: Path) -> bool:
    """Whether the run stands finished in its folder.

    Raises:
        UserError: the folder holds a run of another configuration.
    """
    if not (run_dir / "config.yaml").exists():
        return False
    stored = yaml.safe_load((run_dir / "config.yaml").read_text()) or {}
    before = RunConfig().plain()  # what options that came later stood for
    stored["format"] = present_spec(str(stored.get("format", before["format"])))
    asked = config.plain() | {"format": present_spec(config.format)}
    for key, value in asked.items():
        if stored.get(key, before[key]) != value:
            raise UserError(
                f"--out {run_dir.parent}: {run_dir.name} was made with {key} {stored.get(key)!r}, not {value!r}; "
                "choose another --out"
            )
    return run_files.read_run(run_dir).status == "finished" and not checkpoint.pending(run_dir)
