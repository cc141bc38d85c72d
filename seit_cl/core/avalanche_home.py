"""Import of Avalanche where the home folder cannot be written, as in many containers.

Avalanche writes ~/.avalanche/config.json when it is imported, with the folder that its own data
sets are downloaded to, and fails without. Nothing here uses that folder, so its module is executed
once more with a home folder that exists for as long as that takes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODULE = "avalanche.benchmarks.datasets.dataset_utils"


class _WithHome(Loader):
    """Execute a module, and again with another home folder where the first try fails.

    Args:
        loader: of the module.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create it as its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute it."""
        try:
            self._loader.exec_module(module)
        except OSError:
            before = os.environ.get("HOME")
            with tempfile.TemporaryDirectory() as home:
                os.environ["HOME"] = home
                try:
                    self._loader.exec_module(module)
                finally:
                    if before is None:
                        del os.environ["HOME"]
                    else:
                        os.environ["HOME"] = before


class _Finder(MetaPathFinder):
    """Find the one module that writes to the home folder."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return its spec; None for every other module."""
        if name != MODULE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _WithHome(spec.loader)
        return spec


def allow_any_home() -> None:
    """Let Avalanche be imported whatever the home folder; once, however often it is called."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
