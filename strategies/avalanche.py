"""Avalanche's own plugins (Carta et al., "Avalanche: a PyTorch library for deep continual learning", JMLR 2023) with our learner.

`avalanche:SynapticIntelligencePlugin,si_lambda=0.01`: a plugin's name and its arguments. A plugin that takes a storage_policy is
given the run's memory; one that keeps samples of its own is refused. Whatever else it keeps is measured.
"""

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import avalanche.training.plugins as library
from avalanche.training.plugins import SupervisedPlugin

from seit_cl.core.errors import UserError, nearest
from seit_cl.core.specs import argument, other_options, spec_text
from seit_cl.learner.avalanche_plugins import SharedMemory, accept_raw, show_raw
from seit_cl.learner.avalanche_state import pack_object, unpack_object
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import kept_bytes

SAMPLES = {  # plugins that keep samples or loaders of them outside any budget, and what there is in their place
    "AGEMPlugin": "agem",
    "GDumbPlugin": "gdumb",
    "MIRPlugin": "mir",
    "GEMPlugin": "agem",
    "GSS_greedyPlugin": "er",
    "CoPEPlugin": "icarl",
    "BiCPlugin": "wa",
    "GenerativeReplayPlugin": "er",
    "RARPlugin": "er",
}
OURS = ("storage_policy", "mem_size")  # arguments that the run's memory gives


def _value(text: str) -> Any:
    """Read a number, a boolean or None where the text is one; else keep the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@dataclass(frozen=True)
class AvalancheOptions:
    """A plugin of Avalanche.

    Args:
        plugin: the name of its class.
        arguments: of its constructor, by name.
    """

    plugin: str = argument("Plugin", default="")
    arguments: Mapping[str, Any] = other_options(_value)


class AvalanchePlugin(Strategy):
    """Cross-entropy of the fresh samples, and what the plugin makes of it."""

    paper = "Carta et al., JMLR 2023"
    Options = AvalancheOptions
    state_attributes = ("plugin",)
    needs_boundaries = True
    disable_cutmix = True

    def __init__(self, options: AvalancheOptions) -> None:
        super().__init__(options)
        kind = getattr(library, options.plugin)
        arguments = dict(options.arguments)
        self.exemplar_free = "storage_policy" not in inspect.signature(kind).parameters  # type: ignore[misc]
        if not self.exemplar_free:
            memory = SharedMemory(self)
            arguments |= {"storage_policy": memory, "mem_size": memory.max_size}
        self.plugin = kind(**arguments)
        self.avalanche_plugins = (self.plugin,)

    @classmethod
    def build(cls, options: AvalancheOptions, context: None = None) -> Self:
        """Build the strategy around the plugin that the options name.

        Raises:
            UserError: no such plugin or argument, one that is missing or refused, or a plugin that keeps samples.
        """
        spec = spec_text("avalanche", options.plugin, options.arguments)
        word, given = options.plugin, options.arguments
        known = [
            name
            for name, kind in vars(library).items()
            if inspect.isclass(kind) and issubclass(kind, SupervisedPlugin)
        ]
        if word not in known:
            raise UserError(
                f"--strategy {spec}: no plugin of Avalanche's; {nearest(word, sorted(set(known) - set(SAMPLES)))}"
            )
        if word in SAMPLES:
            raise UserError(
                f"--strategy {spec}: {word} keeps samples or a loader of them beside the memory; use {SAMPLES[word]}"
            )
        kind = getattr(library, word)
        wanted = {
            name: p for name, p in inspect.signature(kind).parameters.items() if name not in OURS
        }
        for name in given:
            if name not in wanted:
                raise UserError(
                    f"--strategy {spec}: unknown option {name!r}; {nearest(name, wanted)}"
                )
        missing = [name for name, p in wanted.items() if p.default is p.empty and name not in given]
        if missing:
            raise UserError(
                f"--strategy {spec}: say {' and '.join(missing)}, e.g. {spec},{missing[0]}=1"
            )
        try:
            return cls(options)
        except Exception as error:
            raise UserError(
                f"--strategy {spec}: Avalanche refuses it ({' '.join(str(error).split())})"
            ) from error

    def before_training_exp(self) -> None:
        """Let the plugin see raw samples, and replay by itself if at all."""
        show_raw(self.learner)
        accept_raw(self.learner)

    @property
    def strategy_bytes(self) -> int:
        """Bytes of every tensor that the plugin holds."""
        return kept_bytes(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Everything that the plugin holds."""
        return {"plugin": pack_object(self.plugin)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where state_dict was taken."""
        accept_raw(self.learner)
        unpack_object(self.plugin, state["plugin"], self.learner)


STRATEGY = AvalanchePlugin
