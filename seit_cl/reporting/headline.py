"""The answer at the top of the page: tokens compared with JPEGs at equal bytes.

A claim rests on pairs of finished runs with the same dataset, scenario, strategy, learner, further
options, budget, seed and class order. It is made if there are three pairs or more and the 95 %
confidence interval of the mean difference (`seit_cl.results.intervals`) excludes zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seit_cl.reporting.grouping import (
    Series,
    Setting,
    at_all_budgets,
    budget_binds,
    finished,
    format_kind,
    is_tokens,
    of_budget,
    of_series,
    of_setting,
    series_of,
    settings_of,
    sorted_series,
    split_tokens,
    with_memory,
)
from seit_cl.reporting.labels import join_parts, megabytes, setting_label
from seit_cl.reporting.pairs import Difference, differences, pairs_text
from seit_cl.results.intervals import FEWEST_PAIRS, PAIRED_METHOD
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.replicates import replicate_of
from seit_cl.results.run_files import Run

NOTE = (
    "Pairs are runs of the same dataset, strategy, learner, options, budget, seed and class order. "
    f"{PAIRED_METHOD}; each interval on its own, and no claim under {FEWEST_PAIRS} pairs. "
    "Tokens are compared with the option that has the most pairs at a budget, of several with the "
    "most accurate one. The budget of the first sentence is chosen by pairs and size, never by the "
    "result."
)


@dataclass(frozen=True)
class Comparison:
    """Tokens compared with one other format in one setting, at one budget.

    Args:
        setting: dataset, scenario and strategy.
        tokens: the series that stores tokens.
        rival: the series it is compared with.
        budget: bytes.
        difference: final accuracy of tokens minus that of the rival.
        exemplars: mean number of exemplars in the memory, of tokens and of the rival.
        full: whether the budget made the memory turn samples away, of tokens and of the rival.
    """

    setting: Setting
    tokens: Series
    rival: Series
    budget: int
    difference: Difference
    exemplars: tuple[float, float]
    full: tuple[bool, bool]

    @property
    def verdict(self) -> str:
        """The accuracy of tokens relative to the rival's.

        One of "higher", "lower", "same" (no significant difference), "few" (two pairs) and "one"
        (a single pair).
        """
        if self.difference.pairs < FEWEST_PAIRS:
            return "one" if self.difference.pairs == 1 else "few"
        if not self.difference.is_claim:
            return "same"
        return "higher" if self.difference.points > 0 else "lower"


def answer(runs: Sequence[Run]) -> list[str]:
    """Say in a few sentences how tokens compare with other formats.

    Args:
        runs: all runs of a report, `variant` set.

    Returns:
        the comparison, or what is missing for one.
    """
    missing = _missing(runs)
    if missing:
        return [missing]
    candidates = comparisons(runs)
    if not candidates:
        return [
            "No comparison is possible: no run with tokens shares budget, strategy, learner and "
            "seed with a run of another format."
        ]
    chosen = headline(candidates)
    same_tokens = [each for each in candidates if each.tokens == chosen.tokens]
    second = _second_sentence(same_tokens, _options_text(chosen, candidates))
    others = len(candidates) - len(same_tokens)
    if others:
        second += f" The figures have {others} more, of other options of tokens or of training."
    return [_first_sentence(chosen, candidates), second]


def comparisons(runs: Sequence[Run]) -> list[Comparison]:
    """Compare tokens with their strongest rival at every setting and budget that has a pair.

    Rivals are JPEGs if any finished run stores them, else all other formats.
    """
    shown = [run for run in at_all_budgets(runs) if not math.isnan(final_accuracy(run.accuracy))]
    series = sorted_series(shown)
    token_series, others = split_tokens(series)
    rivals = [each for each in series if is_jpeg(each)] or others
    result = []
    for setting in settings_of(shown):
        group = of_setting(shown, setting)
        for tokens in token_series:
            result += _strongest_rivals(group, setting, tokens, rivals)
    return result


def _strongest_rivals(
    runs: Sequence[Run], setting: Setting, tokens: Series, rivals: Sequence[Series]
) -> list[Comparison]:
    """Compare one series of tokens with its strongest rival at each budget that has a pair.

    The rival has the most pairs; of several, it is the most accurate one.
    """
    candidates: dict[int, list[tuple[Series, Difference]]] = {}
    for rival in rivals:
        if (rival.learner, rival.variant) == (tokens.learner, tokens.variant):
            for budget, difference in differences(runs, setting, tokens, rival).items():
                candidates.setdefault(budget, []).append((rival, difference))
    result = []
    for budget, pairs in sorted(candidates.items()):
        # All differences are from the same tokens: the smallest is to the most accurate rival.
        rival, difference = max(pairs, key=lambda pair: (pair[1].pairs, -pair[1].points))
        result.append(_comparison(runs, setting, tokens, rival, budget, difference))
    return result


def _comparison(
    runs: Sequence[Run],
    setting: Setting,
    tokens: Series,
    rival: Series,
    budget: int,
    difference: Difference,
) -> Comparison:
    """Add the exemplars of the paired runs to their difference."""
    group = of_budget(runs, budget)
    token_runs = {replicate_of(run): run for run in of_series(group, tokens)}
    rival_runs = {replicate_of(run): run for run in of_series(group, rival)}
    common = sorted(token_runs.keys() & rival_runs.keys())
    token_pairs = [token_runs[replicate] for replicate in common]
    rival_pairs = [rival_runs[replicate] for replicate in common]
    return Comparison(
        setting=setting,
        tokens=tokens,
        rival=rival,
        budget=budget,
        difference=difference,
        exemplars=(_mean_exemplars(token_pairs), _mean_exemplars(rival_pairs)),
        full=(any(map(budget_binds, token_pairs)), any(map(budget_binds, rival_pairs))),
    )


def _mean_exemplars(runs: Sequence[Run]) -> float:
    return sum(float(run.get("exemplars", 0)) for run in runs) / len(runs)


def headline(candidates: Sequence[Comparison]) -> Comparison:
    """Choose the comparison of the first sentence without regard to its result.

    Budgets that were full, with tokens or with the rival, go first if there are any. Among them the
    setting and series of tokens with the most pairs in all is chosen (the first of several), there
    the budgets with the most pairs, and of these the middle one (the lower of two).
    """
    pool = [each for each in candidates if any(each.full)] or list(candidates)
    pairs_in_all = Counter[tuple[Setting, Series]]()
    for each in pool:
        pairs_in_all[each.setting, each.tokens] += each.difference.pairs
    [(place, _)] = pairs_in_all.most_common(1)
    pool = [each for each in pool if (each.setting, each.tokens) == place]
    most_pairs = max(each.difference.pairs for each in pool)
    pool = [each for each in pool if each.difference.pairs == most_pairs]
    pool.sort(key=lambda each: each.budget)
    return pool[(len(pool) - 1) // 2]


def is_jpeg(series: Series) -> bool:
    """Tell whether a series stores JPEGs, with or without their headers."""
    return format_kind(series) in ("jpeg", "jpeg_scan")


def _missing(runs: Sequence[Run]) -> str:
    """The reason why the runs allow no comparison; "" if they may allow one."""
    if not finished(runs):
        return "No run has finished yet, so there is no answer yet."
    with_exemplars = with_memory(runs)
    if not with_exemplars:
        return "No finished run has a memory, so there is nothing to compare at equal bytes."
    stores_tokens = [is_tokens(series_of(run)) for run in with_exemplars]
    if not any(stores_tokens):
        return "No finished run stores tokens, so there is nothing to compare with other formats."
    if all(stores_tokens):
        return (
            "Every finished run with a memory stores tokens, so there is no JPEG or other format "
            "to compare them with."
        )
    return ""


def _options_text(chosen: Comparison, candidates: Sequence[Comparison]) -> str:
    """Learner and further options of the chosen comparison in which others differ, or ""."""
    learners = {each.tokens.learner for each in candidates}
    variants = {each.tokens.variant for each in candidates}
    learner = f"{chosen.tokens.learner} learner" if len(learners) > 1 else ""
    return join_parts(learner, chosen.tokens.variant if len(variants) > 1 else "")


def _first_sentence(chosen: Comparison, candidates: Sequence[Comparison]) -> str:
    """The chosen comparison; its setting and options are named if there are several."""
    name = chosen.tokens.format
    settings = sorted({each.setting for each in candidates})
    setting = setting_label(chosen.setting, settings)
    place = f"At {megabytes(chosen.budget)}"
    brackets = join_parts(setting, _options_text(chosen, candidates))
    if brackets:
        place += f" ({brackets})"
    if any(chosen.full):
        return f"{place}, {name} {_exemplars_clause(chosen)}; {_accuracy_clause(chosen, 'their')}."
    return (
        f"{place}, every sample fits both as {name} and as {chosen.rival.format}, "
        f"so these runs do not test storage; {_accuracy_clause(chosen, name)}."
    )


def _exemplars_clause(chosen: Comparison) -> str:
    """The numbers of exemplars as a ratio, such as "store 7 x as many exemplars as jpeg"."""
    tokens, others = chosen.exemplars
    rival = chosen.rival.format
    if others < 1:
        return f"store {tokens:,.0f} exemplars and {rival} none"
    ratio = tokens / others
    if 0.995 < ratio < 1.005:
        return f"store as many exemplars as {rival}"
    number = f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.2g}"
    return f"store {number} x as many exemplars as {rival}"


def _accuracy_clause(chosen: Comparison, whose: str) -> str:
    """The difference in final accuracy, with its interval and what its pairs vary."""
    points = chosen.difference.points
    half = chosen.difference.half
    pairs = pairs_text([chosen.difference])
    verdict = chosen.verdict
    if verdict == "same":
        interval = f"{points:+.1f} ± {half:.1f} points, {pairs}"
        return f"the difference in final accuracy is not significant ({interval})"
    subject = "their final accuracy" if whose == "their" else f"the final accuracy of {whose}"
    gap = f"{abs(points):.1f}"
    if verdict in ("one", "few"):
        comparison = f"{gap} points {'higher' if points > 0 else 'lower'}" if points else "the same"
        reason = "one seed: no interval" if verdict == "one" else f"{pairs}: two pairs"
        return f"{subject} is {comparison} ({reason}, so this is no evidence)"
    return f"{subject} is {gap} ± {half:.1f} points {verdict} ({pairs})"


def _second_sentence(candidates: Sequence[Comparison], options: str) -> str:
    """The results of all comparisons: one budget must not stand for others that differ.

    Args:
        candidates: comparisons of the same tokens and options.
        options: in which other comparisons differ, or "".
    """
    if len(candidates) == 1:
        return "No other budget or setting has such a pair, so this result stands alone."
    counts = Counter(each.verdict for each in candidates)
    clauses = {
        "higher": "tokens are more accurate in",
        "lower": "tokens are less accurate in",
        "same": "the difference is not significant in",
        "few": "there are two pairs only in",
        "one": "there is a single seed in",
    }
    parts = [f"{text} {counts[verdict]}" for verdict, text in clauses.items() if counts[verdict]]
    span = _span(each.budget for each in candidates)
    settings = len({each.setting for each in candidates})
    if settings > 1:
        span += f" in {settings} settings"
    of_options = f" with {options}" if options else ""
    return f"Of all {len(candidates)} comparisons{of_options} ({span}), {_enumeration(parts)}."


def _span(budgets: Iterable[int]) -> str:
    """The smallest and the largest budget, such as "0.02 to 2 MB"."""
    ordered = sorted(budgets)
    smallest = megabytes(ordered[0])
    largest = megabytes(ordered[-1])
    if smallest == largest:
        return largest
    return f"{smallest.removesuffix(' MB')} to {largest}"


def _enumeration(parts: Sequence[str]) -> str:
    """Clauses of a sentence, separated by commas and a last "and"."""
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
