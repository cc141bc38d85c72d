"""Runs of an output folder that are finished, and the options that they were made with."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from seit_cl.config import GRID, RunConfig
from seit_cl.core.digests import file_digest
from seit_cl.core.errors import UserError, reading
from seit_cl.core.specs import Spec
from seit_cl.core.yaml_text import read_yaml
from seit_cl.experiment import checkpoint
from seit_cl.experiment.build import build_strategy, canonical_strategy
from seit_cl.experiment.metadata import ADAPT_DIGEST, INIT_DIGEST
from seit_cl.experiment.remembering import choose_fill
from seit_cl.experiment.run_data import RunData
from seit_cl.models._weights import weights_digest
from seit_cl.results import run_files
from seit_cl.results.renamed import EARLIER_OPTIONS, present_spec

# Options that say where something lies, and the entry of environment.json with its identity.
PLACES = {
    "data_root": "dataset_identity",
    "leave_out": "dataset_identity",
    "tokenizer": "tokenizer_identity",
    "init": INIT_DIGEST,
    "token_adapt": ADAPT_DIGEST,
}


def stored_options(run_dir: Path) -> dict[str, Any]:
    """Options in a run's config.yaml; none where there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    path = run_dir / "config.yaml"
    if not path.exists():
        return {}
    with reading(path, "not readable", f"restore it, or delete {run_dir} to run it again"):
        options = read_yaml(path.read_text(encoding="utf-8")) or {}
    return options if isinstance(options, dict) else {}


def is_finished(config: RunConfig, run_dir: Path) -> bool:
    """True if the folder holds the finished run of a configuration.

    The same images, tokenizer or weights at another place make the same run.

    Raises:
        UserError: the folder holds a run of another configuration, or a finished one whose files
            were changed.
    """
    if not (run_dir / "config.yaml").exists():
        return False
    run = run_files.read_run(run_dir)
    if run.damage:
        raise UserError(f"{run_dir}: {run.damage}")
    stored = stored_options(run_dir)
    defaults = RunConfig().plain() | EARLIER_OPTIONS  # of options that are younger than the folder
    stored["format"] = present_spec(str(stored.get("format", defaults["format"])))
    classes = len(run.environment.get("classes", [])) or None
    requested = config.plain(classes) | {
        "format": present_spec(config.format),
        "fill": choose_fill(config, build_strategy(config)),
    }
    for name, value in requested.items():
        made_with = stored.get(name, defaults[name])
        if made_with != value and not _has_moved(name, config, run):
            remedy = f"--fill {made_with}, or " if name == "fill" else ""
            raise UserError(
                f"--out {run_dir.parent}: {run_dir.name} was made with {name} {made_with!r}, not "
                f"{value!r}; choose {remedy}another --out"
            )
    _check_settings(config, run, run_dir)
    return run.status == "finished" and not checkpoint.pending(run_dir)


def _has_moved(option: str, config: RunConfig, run: run_files.Run) -> bool:
    """True if an option names another place where the same lies that a run was made from.

    Raises:
        UserError: nothing can be read there.
    """
    made_from = run.environment.get(PLACES.get(option, ""))
    if made_from is None:  # in runs of earlier versions, and where a run uses no such thing
        return False
    return _identity(option, config) == made_from


def _identity(option: str, config: RunConfig) -> str:
    """The identity of what an option of PLACES leads to; "" where it is not given."""
    if option == "init":
        return weights_digest(config.init) if config.init else ""
    if option == "token_adapt":
        return file_digest(config.token_adapt) if config.token_adapt else ""
    defaults = RunConfig()
    shared = {name: getattr(defaults, name) for name in GRID if name != "learner"}
    return _data_identity(replace(config, **shared))[PLACES[option]]


@lru_cache(maxsize=16)
def _data_identity(config: RunConfig) -> dict[str, str]:
    """Identities of images and tokenizer, found once for all runs of a grid."""
    return RunData(config).identity


def _check_settings(config: RunConfig, run: run_files.Run, run_dir: Path) -> None:
    """Check the strategy's settings and the initial weights of an existing run.

    The settings are compared whatever the defaults were; weights that are gone are not.

    Raises:
        UserError: a default of the strategy has changed since the run was made, or the file of
            --init.
    """
    made_from = run.environment.get(INIT_DIGEST)  # None in runs of earlier versions
    weights = config.init
    if weights and weights.exists() and made_from not in (None, weights_digest(weights)):
        raise UserError(
            f"--out {run_dir.parent}: {run_dir.name} was made with other weights than those of "
            f"--init {weights}; choose another --out"
        )
    adapter = config.token_adapt
    made_from = run.environment.get(ADAPT_DIGEST)
    if adapter and adapter.exists() and made_from not in (None, file_digest(adapter)):
        raise UserError(
            f"--out {run_dir.parent}: {run_dir.name} was made with another map than that of "
            f"--token-adapt {adapter}; choose another --out"
        )
    made_with = str(run.environment.get("strategy", ""))  # "" in runs of earlier versions
    present = Spec.parse(canonical_strategy(config)).options
    for name, value in Spec.parse(made_with).options.items():
        if present.get(name, value) != value:
            raise UserError(
                f"--out {run_dir.parent}: {run_dir.name} was made with {name}={value}, not "
                f"{present[name]}, which is {config.strategy}'s default now; choose another --out"
            )
