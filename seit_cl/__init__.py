"""Continual-learning benchmarks whose replay memory is metered in bytes."""

__version__ = "0.1.0"
