"""Continual-learning benchmarks whose replay memory is metered in bytes.

The names in `__all__` are the public interface: they change with a note in CHANGELOG.md, and what
is removed warns for one version before. Each is imported when it is first used, so that
`import seit_cl` takes no time. docs/from-python.md shows them; docs/architecture.md describes the
packages, their contracts and the rules of the comparison.
"""

import os
import warnings
from typing import TYPE_CHECKING

from seit_cl.core.avalanche_home import allow_any_home
from seit_cl.core.lazy import lazy_names

if TYPE_CHECKING:
    from seit_cl.api import (
        Results,
        RunResult,
        build_report,
        read_runs,
        run_experiment,
        run_grid,
    )
    from seit_cl.config import RunConfig
    from seit_cl.core.errors import UserError
    from seit_cl.core.plugins import spec_of
    from seit_cl.data.samples import Samples
    from seit_cl.data.scenario import Scenario
    from seit_cl.datasets import from_torch
    from seit_cl.formats import build_format
    from seit_cl.formats.base import FormatContext
    from seit_cl.learner.strategy import Strategy
    from seit_cl.memory.buffer import ByteBudgetBuffer
    from seit_cl.models._handed import hand_over
    from seit_cl.tokenizers import open_tokenizer
else:
    _MODULES = {
        "ByteBudgetBuffer": "memory.buffer",
        "FormatContext": "formats.base",
        "Results": "api",
        "RunConfig": "config",
        "RunResult": "api",
        "Samples": "data.samples",
        "Scenario": "data.scenario",
        "Strategy": "learner.strategy",
        "UserError": "core.errors",
        "build_format": "formats",
        "build_report": "api",
        "from_torch": "datasets",
        "hand_over": "models._handed",
        "open_tokenizer": "tokenizers",
        "read_runs": "api",
        "run_experiment": "api",
        "run_grid": "api",
        "spec_of": "core.plugins",
    }
    __getattr__ = lazy_names(__name__, _MODULES)

# In a clone, the folders of seit_cl.strategies, seit_cl.scenarios and seit_cl.reports lie beside
# this one. So a clone works without an editable installation, and its files are what is used.
_FOLDER = os.path.dirname(os.path.abspath(__file__))
if not os.path.isdir(os.path.join(_FOLDER, "strategies")):
    __path__.append(os.path.dirname(_FOLDER))

allow_any_home()

__version__ = "0.2.0"

__all__ = [
    "ByteBudgetBuffer",
    "FormatContext",
    "Results",
    "RunConfig",
    "RunResult",
    "Samples",
    "Scenario",
    "Strategy",
    "UserError",
    "__version__",
    "build_format",
    "build_report",
    "from_torch",
    "hand_over",
    "open_tokenizer",
    "read_runs",
    "run_experiment",
    "run_grid",
    "spec_of",
]

# Avalanche imports qpsolvers, which warns about solvers that are not used here, and Avalanche warns
# when it is given no logger.
warnings.filterwarnings("ignore", message="no QP solver found")
warnings.filterwarnings("ignore", message="No loggers specified")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
