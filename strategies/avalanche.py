"""Avalanche's own plugins (Carta et al., JMLR 2023) with our learner, stream and memory.

`avalanche:SynapticIntelligencePlugin,si_lambda=0.01`: a plugin's name and its arguments. A plugin
that takes a storage_policy is given the run's memory; one that stores samples itself is refused.
All other state of a plugin is measured.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import avalanche.training.plugins as library
from avalanche.training.plugins import SupervisedPlugin

from seit_cl.core.errors import UserError, nearest
from seit_cl.core.specs import argument, other_options, read_literal, spec_text
from seit_cl.learner.avalanche_plugins import SharedMemory, accept_raw_samples
from seit_cl.learner.avalanche_state import pack_object, unpack_object
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.strategy import Strategy, StrategyContext
from seit_cl.learner.strategy_state import state_bytes

# Plugins that store samples, or loaders of samples, outside any budget, and what to use instead.
REFUSED = {
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
# Words in the annotations of arguments that are numbers or lists of them.
NUMBERS = {"int", "float", "bool", "None", "Union", "Optional", "Sequence", "List", "list", "Tuple"}
NUMBERS |= {"tuple", "typing", "collections", "abc"}
FROM_MEMORY = ("storage_policy", "mem_size")  # arguments given by the run's memory


@dataclass(frozen=True)
class PluginOptions:
    """A plugin of Avalanche's.

    Args:
        plugin: name of a class in avalanche.training.plugins.
        arguments: of its constructor, by name, without those that the run's memory gives.
    """

    plugin: str = argument("Plugin", default="")
    arguments: Mapping[str, Any] = other_options(read_literal)


class AvalanchePlugin(Strategy):
    """Cross-entropy of the fresh samples, changed by a plugin."""

    paper = "Carta et al., JMLR 2023"
    Options = PluginOptions
    state_attributes = ("plugin",)
    needs_boundaries = True
    disable_cutmix = True

    def __init__(self, options: PluginOptions, context: StrategyContext) -> None:
        super().__init__(options, context)
        plugin_class = getattr(library, options.plugin)
        parameters = inspect.signature(plugin_class).parameters
        self.exemplar_free = "storage_policy" not in parameters  # type: ignore[misc]
        self.memory = SharedMemory()
        arguments = dict(options.arguments)
        if not self.exemplar_free:
            arguments["storage_policy"] = self.memory
            arguments["mem_size"] = self.memory.max_size
        self.plugin = plugin_class(**arguments)
        self.avalanche_plugins = (self.plugin,)

    @classmethod
    def build(cls, options: PluginOptions, context: StrategyContext) -> Self:
        """Build the strategy around the plugin that the options name.

        Raises:
            UserError: no such plugin or argument, one that is missing or refused, or a plugin that
                stores samples.
        """
        spec = spec_text("avalanche", options.plugin, options.arguments)
        check_plugin(spec, options.plugin)
        check_arguments(spec, options.plugin, options.arguments)
        try:
            return cls(options, context)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(f"--strategy {spec}: Avalanche refuses it ({reason})") from error

    def before_training_exp(self, learner: LearnerView) -> None:
        """Give the plugin the memory, and a model that takes raw samples."""
        self.memory.follow(learner)
        accept_raw_samples(learner)

    @property
    def strategy_bytes(self) -> int:
        """Bytes of every tensor of the plugin."""
        return state_bytes(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """All state of the plugin."""
        return {"plugin": pack_object(self.plugin)}

    def load_state_dict(self, state: dict[str, Any], learner: LearnerView) -> None:
        """Restore the state of a checkpoint."""
        accept_raw_samples(learner)
        unpack_object(self.plugin, state["plugin"], learner)


def check_plugin(spec: str, name: str) -> None:
    """Check the name of a plugin of Avalanche's.

    Raises:
        UserError: no such plugin, or one that stores samples.
    """
    names = []
    for candidate, value in vars(library).items():
        if inspect.isclass(value) and issubclass(value, SupervisedPlugin):
            names.append(candidate)
    if name not in names:
        usable = sorted(set(names) - set(REFUSED))
        raise UserError(f"--strategy {spec}: Avalanche has no such plugin; {nearest(name, usable)}")
    if name in REFUSED:
        raise UserError(
            f"--strategy {spec}: {name} stores samples or a loader of them outside the memory; "
            f"use {REFUSED[name]}"
        )


def _takes_text(parameter: inspect.Parameter) -> bool:
    """Return False where an argument's annotation, or else its default, is of numbers alone."""
    annotation = parameter.annotation
    if annotation is not parameter.empty:
        words = re.findall(r"[A-Za-z_]+", inspect.formatannotation(annotation))
        return not words or not set(words) <= NUMBERS
    return not (parameter.default is parameter.empty or isinstance(parameter.default, int | float))


def check_arguments(spec: str, name: str, arguments: Mapping[str, Any]) -> None:
    """Check the names of a plugin's arguments.

    Raises:
        UserError: an unknown argument, or one missing.
    """
    parameters = dict(inspect.signature(getattr(library, name)).parameters)
    for given_by_run in FROM_MEMORY:
        parameters.pop(given_by_run, None)
    for option in arguments:
        if option not in parameters:
            hint = nearest(option, parameters)
            raise UserError(f"--strategy {spec}: unknown option {option!r}; {hint}")
        if isinstance(arguments[option], str) and not _takes_text(parameters[option]):
            raise UserError(
                f"--strategy {spec}: {option}={arguments[option]!r} is no number; Avalanche takes "
                f"{inspect.formatannotation(parameters[option].annotation)}"
            )
    missing = []
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty and option not in arguments:
            missing.append(option)
    if missing:
        raise UserError(
            f"--strategy {spec}: give {' and '.join(missing)}, e.g. {spec},{missing[0]}=1"
        )


STRATEGY = AvalanchePlugin
