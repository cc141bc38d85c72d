"""Outlines of plugins: what lists show of them, read without importing torch and other libraries.

A plugin's file is a Python module, so its class, options and publication are known once it is
imported, and its imports take seconds. Here they are replaced for a moment by stand-ins: modules
without contents, whose every attribute is another stand-in. Class attributes and options have their
values as usual. Where a stand-in would have to be a real object, the plugin is imported after all.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NoReturn, TypeVar

from seit_cl.core import plugins

T = TypeVar("T")
# Libraries that take long to import, and that no name, option or publication depends on.
LIBRARIES = frozenset(
    {
        "avalanche",
        "datasets",
        "diffusers",
        "faiss",
        "imagecodecs",
        "jinja2",
        "matplotlib",
        "optuna",
        "pandas",
        "PIL",
        "pyarrow",
        "safetensors",
        "scipy",
        "sklearn",
        "tensorboard",
        "timm",
        "torch",
        "torchmetrics",
        "torchvision",
        "transformers",
        "wandb",
        "webdataset",
    }
)
_KEPT = {"numpy", *sys.stdlib_module_names}  # modules that stay imported


def read_plugins(kind: str, read: Callable[[str], T]) -> dict[str, T]:
    """Read something of every plugin of a kind.

    Args:
        kind: a key of `plugins.KINDS`.
        read: from a plugin's name to what is wanted, by `plugins.load` or `plugins.build`. It must
            not return objects of the plugin, since those may refer to stand-ins.

    Returns:
        The results by name, sorted.
    """
    results: dict[str, T] = {}
    with _stand_ins():
        names = sorted(plugins.names(kind))
        for name in names:
            try:
                results[name] = read(name)
            except Exception:
                continue  # a stand-in is not enough, or a library is missing
    for name in names:
        if name not in results:
            results[name] = read(name)
    return {name: results[name] for name in names}


class _StandIn:
    """Any object of a library: it can be called, subclassed and named in annotations."""

    def __getattr__(self, name: str) -> _StandIn:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> _StandIn:
        return self

    def __getitem__(self, key: Any) -> _StandIn:
        return self

    def __or__(self, other: Any) -> _StandIn:
        return self

    __ror__ = __or__

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return ()

    def _refuse(self, *args: Any) -> NoReturn:
        raise TypeError("the value of a library that is not imported")

    __iter__ = __str__ = __repr__ = __format__ = _refuse


class _StandInModule(ModuleType):
    """A library without contents."""

    def __getattr__(self, name: str) -> _StandIn:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn()


class _StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module of LIBRARIES, and makes a stand-in of it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in LIBRARIES:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """A stand-in has no contents."""


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Import stand-ins instead of libraries in the block, and forget afterwards what it imported.

    Libraries that are imported already are used as they are.
    """
    before = set(sys.modules)
    kept = _KEPT | {name.partition(".")[0] for name in before if not name.startswith("seit_cl")}
    finder = _StandInFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            if name.partition(".")[0] not in kept:
                _forget(name)


def _forget(name: str) -> None:
    """Remove a module, so that the next import of it is the first one."""
    del sys.modules[name]
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        vars(sys.modules[parent]).pop(child, None)
