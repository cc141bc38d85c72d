"""Imports point down: a file imports lower layers only, without cycles, and no plugin by name.

The tests read every import statement of every file, including those inside functions and under
TYPE_CHECKING. The layers are described in docs/architecture.md.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from seit_cl.core import plugins

ROOT = Path(__file__).resolve().parent.parent
PLUGIN_FOLDERS = ("strategies", "scenarios", "reports")
FOLDERS = {
    "seit_cl": "seit_cl",
    **{folder: f"seit_cl.{folder}" for folder in PLUGIN_FOLDERS},
    "benchmarks": "benchmarks",
    "studies": "studies",
}
COMMANDS = (
    "__main__",
    "run",
    "status",
    "compare",
    "tune",
    "pilot",
    "report",
    "tokenize",
    "density",
    "pretrain",
)
# From the bottom up. A file may import its own package and the packages of lower layers.
LAYERS: tuple[set[str], ...] = (
    {"__init__"},  # the version
    {"core"},
    {"launch"},
    {"results", "data"},
    {"datasets"},
    {"formats"},
    {"memory"},
    {"models"},
    {"learner"},
    {"tokenizers"},
    {"config"},
    {"command_line"},
    {"experiment"},
    {"launchers", "pretraining"},
    {"grid"},
    {"reporting"},
    {"comparison", "tuning", "piloting"},
    {"api"},
    {"commands"},
    {*PLUGIN_FOLDERS},
    {"benchmarks", "studies"},
)
Graph = dict[str, set[str]]  # from a module to the modules that it imports


@cache
def modules() -> dict[str, Path]:
    """Every file by the name of its module; a package's name stands for its __init__."""
    files = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            files[".".join([package, *parts])] = path
    return files


@cache
def imports() -> Graph:
    """The modules of this repository that each module imports."""
    graph = {}
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = set(imported_modules(tree, name, path.name == "__init__.py"))
        if name == "seit_cl":  # its public names are imported when they are first used
            imported = set()
        graph[name] = imported - {name}
    return graph


def imported_modules(tree: ast.AST, importer: str, is_package: bool) -> Iterator[str]:
    """Modules of this repository that a syntax tree imports.

    Args:
        tree: the importing file.
        importer: its module.
        is_package: True for an __init__, whose relative imports start at itself.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in modules():
                    yield alias.name
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parts = importer.split(".")
                parents = parts[: len(parts) - node.level + is_package]
                source = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                if submodule in modules():
                    yield submodule
                elif source in modules():
                    yield source


def layer_of(module: str) -> tuple[int, str]:
    """The layer of a module and its package in that layer."""
    name, *rest = module.split(".")
    if name == "seit_cl":
        name = rest[0] if rest else "__init__"
    layer = "commands" if name in COMMANDS else name
    for number, names in enumerate(LAYERS):
        if layer in names:
            return number, name
    raise AssertionError(f"{module} belongs to no layer; add it to LAYERS")


def unit_of(module: str) -> str:
    """The package two levels below the root, e.g. seit_cl.tokenizers.nets; otherwise the module."""
    path = modules()[module]
    parts = module.split(".")
    is_package = path.name == "__init__.py"
    depth = len(parts) if is_package else len(parts) - 1
    return ".".join(parts[:3]) if parts[0] == "seit_cl" and depth >= 3 else module


def cycles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that reach one another: the strongly connected components, by Tarjan."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            start = stack.index(node)
            if len(stack) - start > 1:
                groups.append(sorted(stack[start:]))
            del stack[start:]

    for node in graph:
        if node not in index:
            visit(node)
    return groups


def file_of(module: str) -> str:
    """The path of a module, for a message."""
    return str(modules()[module].relative_to(ROOT))


def plugins_of(kind: str) -> set[str]:
    """Modules of this repository's plugins of a kind."""
    places = {place.partition(":")[0] for place in plugins.names(kind).values()}
    return places & set(modules())


def assert_none(problems: Iterable[str]) -> None:
    """Fail with one problem a line."""
    lines = sorted(problems)
    assert not lines, "\n" + "\n".join(lines)


def test_no_file_imports_a_higher_layer_or_a_neighbour_in_its_own() -> None:
    problems = []
    for module, others in imports().items():
        layer, package = layer_of(module)
        for other in others:
            other_layer, other_package = layer_of(other)
            if other_layer >= layer and other_package != package:
                problems.append(
                    f"{file_of(module)} ({package}) imports {file_of(other)} ({other_package})"
                )
    assert_none(problems)


def test_no_files_import_one_another_in_a_cycle() -> None:
    assert_none(" <-> ".join(map(file_of, group)) for group in cycles(imports()))


def test_no_packages_import_one_another_in_a_cycle() -> None:
    graph: Graph = defaultdict(set)
    for module, others in imports().items():
        unit = unit_of(module)
        graph[unit] |= {unit_of(other) for other in others} - {unit}
    assert_none(" <-> ".join(group) for group in cycles(graph))


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_no_plugin_is_imported_by_name(kind: str) -> None:
    plugin_modules = plugins_of(kind)
    problems = []
    for module, others in imports().items():
        for other in others & plugin_modules:
            problems.append(f"{file_of(module)} imports the plugin {file_of(other)}")
    assert_none(problems)


@pytest.mark.parametrize("kind", ["strategy", "scenario", "report"])
def test_a_folder_of_plugins_has_nothing_else(kind: str) -> None:
    package, _ = plugins.KINDS[kind]
    contents = {name for name in modules() if name.startswith(f"{package}.")}
    assert_none(map(file_of, contents - plugins_of(kind) - {f"{package}.__main__"}))
