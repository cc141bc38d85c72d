"""Selection policies: one file each, found by name. `build_policy` builds one from its spec."""

from __future__ import annotations

from seit_cl.core import plugins
from seit_cl.core.specs import canonical_text
from seit_cl.memory.selection._degrading import DegradingOptions, split_options, with_options
from seit_cl.memory.selection.base import PolicyContext, SelectionPolicy

__all__ = [
    "DegradingOptions",
    "PolicyContext",
    "SelectionPolicy",
    "build_policy",
    "canonical_policy",
    "degrading_options",
    "policy_names",
]


def policy_names() -> list[str]:
    """List the names of all policies, as they are written on the command line."""
    return sorted(name.replace("_", "-") for name in plugins.names("policy"))


def canonical_policy(spec: str) -> str:
    """Write a policy's spec with hyphens in its name and every option.

    Options that every policy takes (DegradingOptions) stand in it where exemplars are cut.

    Raises:
        UserError: an unknown policy or option, or a value of the wrong type.
    """
    own, degrading = split_options(spec)
    options = own.fill(plugins.load("policy", own.name).Options)
    return with_options(canonical_text(own.key.replace("_", "-"), options), degrading)


def degrading_options(spec: str) -> DegradingOptions:
    """Read the options of a policy's spec that every policy takes.

    Raises:
        UserError: a value that they do not have.
    """
    return split_options(spec)[1]


def build_policy(spec: str, context: PolicyContext) -> SelectionPolicy:
    """Build a policy from its spec, e.g. "class-balanced".

    Args:
        spec: name and options.
        context: classes, seed, and levels where exemplars are cut.

    Raises:
        UserError: an unknown policy or option, or a value that the policy refuses.
    """
    own, _ = split_options(spec)
    policy: SelectionPolicy = plugins.build("policy", own, context)
    return policy
