"""Options that every policy takes: exemplars are cut to fewer levels before one is removed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from seit_cl.core.errors import UserError
from seit_cl.core.options import AT_LEAST_1, ranged
from seit_cl.core.specs import Spec, spec_text


@dataclass(frozen=True)
class DegradingOptions:
    """Options of what a full memory does before it removes an exemplar.

    Args:
        degrade: "levels": it cuts exemplars to fewer levels; "none": nothing.
        min_levels: levels below which no exemplar is cut.
    """

    degrade: str = "none"
    min_levels: int = ranged(1, AT_LEAST_1)

    @property
    def cuts(self) -> bool:
        """True if exemplars are cut."""
        return self.degrade == "levels"


NAMES = tuple(declared.name for declared in fields(DegradingOptions))


def split_options(spec: str) -> tuple[Spec, DegradingOptions]:
    """Part a policy's spec into the policy's own and the options that every policy takes.

    Raises:
        UserError: no such value, or min_levels without degrade=levels.
    """
    parsed = Spec.parse(spec)
    own = {key: text for key, text in parsed.options.items() if key not in NAMES}
    shared = {key: text for key, text in parsed.options.items() if key in NAMES}
    options: DegradingOptions = Spec(parsed.name, options=shared).fill(DegradingOptions)
    if options.degrade not in ("none", "levels"):
        raise UserError(f"--policy {spec}: degrade={options.degrade}; give levels or none")
    if not options.cuts and "min_levels" in shared:
        raise UserError(f"--policy {spec}: min_levels needs degrade=levels")
    return Spec(parsed.name, parsed.argument, own), options


def with_options(text: str, options: DegradingOptions) -> str:
    """Add the shared options to a policy's canonical spec, if exemplars are cut."""
    if not options.cuts:
        return text
    parsed = Spec.parse(text)
    values: dict[str, Any] = {**parsed.options, **vars(options)}
    return spec_text(parsed.name, parsed.argument, dict(sorted(values.items())))
