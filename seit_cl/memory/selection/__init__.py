"""Selection policies: one file each, found by name. `build_policy` builds one from its spec."""

from __future__ import annotations

from seit_cl.core import plugins
from seit_cl.core.specs import Spec, canonical_text
from seit_cl.memory.selection.base import PolicyContext, SelectionPolicy

__all__ = [
    "PolicyContext",
    "SelectionPolicy",
    "build_policy",
    "canonical_policy",
    "policy_names",
]


def policy_names() -> list[str]:
    """List the names of all policies, as they are written on the command line."""
    return sorted(name.replace("_", "-") for name in plugins.names("policy"))


def canonical_policy(spec: str) -> str:
    """Write a policy's spec with hyphens in its name and every option.

    Raises:
        UserError: an unknown policy or option, or a value of the wrong type.
    """
    parsed = Spec.parse(spec)
    options = parsed.fill(plugins.load("policy", parsed.name).Options)
    return canonical_text(parsed.key.replace("_", "-"), options)


def build_policy(spec: str, context: PolicyContext) -> SelectionPolicy:
    """Build a policy from its spec, e.g. "class-balanced".

    Args:
        spec: name and options.
        context: classes and seed.

    Raises:
        UserError: an unknown policy or option, or a value that the policy refuses.
    """
    policy: SelectionPolicy = plugins.build("policy", spec, context)
    return policy
