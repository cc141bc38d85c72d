"""Plugins: formats, policies, tokenizers, strategies, scenarios and reports, built from specs.

A plugin is a file in the folder of its kind, named after the plugin ("er_ace.py" is "er-ace" and
"er_ace"), or an installed package's entry point. The file holds the plugin, a class with the
interface `Plugin`, under one module-level name, e.g. FORMAT or STRATEGY. Nothing imports a plugin
by name.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol

from seit_cl.core.errors import UserError, nearest, one_line
from seit_cl.core.specs import Spec

KINDS = {
    "format": ("seit_cl.formats", "FORMAT"),
    "dataset": ("seit_cl.datasets", "DATASET"),
    "tokenizer": ("seit_cl.tokenizers", "TOKENIZER"),
    "strategy": ("seit_cl.strategies", "STRATEGY"),
    "scenario": ("seit_cl.scenarios", "SCENARIO"),
    "report": ("seit_cl.reports", "REPORT"),
    "model": ("seit_cl.models", "MODEL"),
    "policy": ("seit_cl.memory.selection", "POLICY"),
    "optimizer": ("seit_cl.learner.optimizers", "OPTIMIZER"),
    "schedule": ("seit_cl.learner.schedules", "SCHEDULE"),
}
_MEND = "mend it; --debug shows the traceback"
_CLASS = "give module.Class of a class that this process can import"


class Plugin(Protocol):
    """The interface of every plugin; a further attribute `paper` or `source` names its origin.

    Attributes:
        Options: frozen dataclass of its options (`NoOptions` where it has none).
    """

    Options: ClassVar[type[Any]]

    @classmethod
    def build(cls, options: Any, context: Any) -> Any:
        """Build the object that a run uses.

        Args:
            options: an instance of `Options`.
            context: everything else that plugins of this kind need, e.g. a FormatContext.

        Raises:
            UserError: options that contradict one another or do not fit the context.
        """


@cache
def names(kind: str) -> dict[str, str]:
    """Map every plugin's name to its "module:attribute", without importing any plugin.

    Args:
        kind: a key of KINDS.

    Raises:
        UserError: two plugins have one name.
    """
    package, attribute = KINDS[kind]
    folder = importlib.import_module(package)
    places = {}
    for module in pkgutil.iter_modules(folder.__path__):
        is_contract = module.name == "base" and kind != "model"  # "base" is a size of the ViT
        if not module.ispkg and not is_contract and not module.name.startswith("_"):
            places[module.name] = f"{package}.{module.name}:{attribute}"
    for entry in entry_points(group=package):
        if entry.name in places:
            raise UserError(
                f"{kind} {entry.name!r} exists twice: {places[entry.name]} and {entry.value}; "
                "rename one"
            )
        places[entry.name] = entry.value
    return places


def place(kind: str, name: str) -> str:
    """Find the "module:attribute" of a plugin, without importing it.

    Args:
        kind: a key of KINDS.
        name: with hyphens or underscores; or that of a Python class, "module.Class".

    Raises:
        UserError: no such plugin; the message lists the nearest names.
    """
    if "." in name:
        module, _, attribute = name.rpartition(".")
        return f"{module}:{attribute}"
    places = names(kind)
    key = name.replace("-", "_")
    if key not in places:
        raise UserError(f"unknown {kind} {name!r}; {nearest(name, places)}")
    return places[key]


def load(kind: str, name: str) -> Any:
    """Import the plugin of a kind and name.

    Args:
        kind: a key of KINDS.
        name: with hyphens or underscores; or that of a Python class, "module.Class".

    Raises:
        UserError: no such plugin, with the nearest names; or a file or class that is none, or that
            raises an error when it is imported, with the line.
    """
    module, _, attribute = place(kind, name).partition(":")
    is_file = "." not in name
    try:
        imported = importlib.import_module(module)
    except UserError:
        raise
    except Exception as error:  # a file may raise anything
        if not is_file and isinstance(error, ImportError):
            raise UserError(f"{kind} {name!r}: {error}; {_CLASS}") from error
        raise UserError(f"{kind} {name!r}: {_where_raised(error, module)}; {_MEND}") from error
    found = getattr(imported, attribute, None)
    if found is None:
        advice = f"end it with {attribute} = YourClass" if is_file else _CLASS
        raise UserError(f"{kind} {name!r}: {_path(module)} has no {attribute}; {advice}")
    if not (hasattr(found, "build") and hasattr(found, "Options")):
        raise UserError(
            f"{kind} {name!r}: {attribute} is no plugin, which has Options and build "
            "(docs/your-own.md)"
        )
    return found


def _where_raised(error: Exception, module: str) -> str:
    """Name the line of a module that an error of its import comes from, and the error."""
    path = _path(module)
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == path]
    message = one_line(error)
    if isinstance(error, SyntaxError):
        path = error.filename or path
        lines = [error.lineno]
        message = error.msg
    place = f"{path}, line {lines[-1]}" if lines else path
    return f"{place}: {type(error).__name__}: {message}"


def _path(module: str) -> str:
    """The path of a module's file, or its name where it has none."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    return found.origin if found is not None and found.origin else module


def check_imported(kind: str, spec: str) -> None:
    """Refuse the spec of a Python class whose module this process has not imported.

    Specs within files are checked with it, so that a file from elsewhere imports nothing.

    Args:
        kind: a key of KINDS.
        spec: as a file has it.

    Raises:
        UserError: naming the class.
    """
    name = Spec.parse(spec).name
    module = name.rpartition(".")[0]
    if module and module not in sys.modules:
        raise UserError(f"{kind} {name!r}: a Python class; import {module} first")


def spec_of(plugin: type[Any], **options: Any) -> str:
    """Write the spec of a plugin that is a Python class, not a file in the folder of its kind.

    Args:
        plugin: a class at the top level of a module, script or notebook.
        options: values for its `Options`.

    Returns:
        The spec for a RunConfig, e.g. "my_module.MyReplay:weight=0.5".

    Raises:
        UserError: a class within a function or another class, or an unknown option.
    """
    if "." in plugin.__qualname__:
        raise UserError(
            f"{plugin.__qualname__}: define the class at the top level of a module, script or "
            "notebook, where a resumed run finds it"
        )
    values = {key: str(value) for key, value in options.items()}
    spec = Spec(f"{plugin.__module__}.{plugin.__qualname__}", options=values)
    spec.fill(plugin.Options)
    return str(spec)


def build(kind: str, spec: str | Spec, context: Any = None) -> Any:
    """Build a plugin from its spec.

    Args:
        kind: a key of KINDS.
        spec: name, argument and options, e.g. "jpeg:quality=30,size=64".
        context: for the plugin's own `build`.

    Raises:
        UserError: an unknown plugin or option, or what the plugin refuses.
    """
    parsed = Spec.parse(spec) if isinstance(spec, str) else spec
    plugin = load(kind, parsed.name)
    return plugin.build(parsed.fill(plugin.Options), context)
