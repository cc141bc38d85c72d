"""Continual-learning benchmarks whose replay memory is metered in bytes.

docs/architecture.md describes the packages, their contracts and the rules of the comparison.
"""

import warnings

__version__ = "0.1.0"

# Avalanche imports qpsolvers, which warns about solvers that are not used here, and Avalanche warns
# when it is given no logger.
warnings.filterwarnings("ignore", message="no QP solver found")
warnings.filterwarnings("ignore", message="No loggers specified")
