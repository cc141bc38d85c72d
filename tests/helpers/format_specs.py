"""Specs of all registered formats, each with what it needs."""

from helpers import learned_weights
from seit_cl.core import plugins

NEEDED = {"learned": learned_weights.SPEC}  # formats that take a file of weights
SPECS = [NEEDED.get(name, name) for name in sorted(plugins.names("format"))]


def name_of(spec: object) -> str | None:
    """Name a spec in a test's id, without the place of a file."""
    return "learned" if spec == learned_weights.SPEC else None
