"""Values for trials, drawn by Optuna's samplers (Akiba et al., KDD 2019)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seit_cl.learner.search_space import Choices, LogUniform, SearchRange
from seit_cl.tuning.options import Sampler

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

DIGITS = 3  # significant digits of drawn numbers
Values = dict[str, Any]  # by the names of hyperparameters


def propose(
    ranges: Mapping[str, SearchRange],
    history: Sequence[tuple[Values, float]],
    count: int,
    sampler: Sampler,
    seed: int,
) -> list[Values]:
    """Draw the values of further trials.

    Args:
        ranges: by the names of hyperparameters, at least one.
        history: values and scores, larger ones better, of earlier trials; at least one for qmc,
            which does not depend on the score.
        count: number of trials; a larger one begins with the values of a smaller one.
        sampler: qmc is Sobol's sequence, scrambled; tpe is that of Bergstra et al. (NeurIPS 2011).
        seed: of the draws.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution(within) for name, within in ranges.items()}
    study = optuna.create_study(direction="maximize", sampler=_sampler(sampler, seed))
    for values, score in history:
        parameters = {name: _parameter(ranges[name], values[name]) for name in ranges}
        study.add_trial(
            optuna.trial.create_trial(params=parameters, distributions=distributions, value=score)
        )
    proposed: list[Values] = []
    for _ in range(count):
        drawn = study.ask(distributions).params
        proposed.append({name: _value(ranges[name], drawn[name]) for name in ranges})
    return proposed


def _sampler(name: Sampler, seed: int) -> BaseSampler:
    """Build a sampler."""
    from optuna.samplers import QMCSampler, RandomSampler, TPESampler

    if name == "random":
        return RandomSampler(seed=seed)
    if name == "tpe":
        return TPESampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks it as experimental
        return QMCSampler(scramble=True, seed=seed)


def _distribution(within: SearchRange) -> BaseDistribution:
    """Return Optuna's distribution; a choice is its position, so that neighbours are alike."""
    from optuna.distributions import FloatDistribution, IntDistribution

    if isinstance(within, Choices):
        return IntDistribution(0, len(within.values) - 1)
    return FloatDistribution(within.low, within.high, log=isinstance(within, LogUniform))


def _parameter(within: SearchRange, value: Any) -> Any:
    """Convert a value to Optuna's."""
    return within.values.index(value) if isinstance(within, Choices) else value


def _value(within: SearchRange, parameter: Any) -> Any:
    """Convert Optuna's value to one that is short enough to type."""
    if isinstance(within, Choices):
        return within.values[parameter]
    return float(f"{parameter:.{DIGITS}g}")
