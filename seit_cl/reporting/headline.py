"""The answer on top of the page: what the runs say about tokens against JPEGs at equal bytes, and no more than they say.

A claim rests on pairs of finished runs of the same dataset, scenario, strategy, learner, further options, budget and seed. It is
made where the 95 % interval of their mean difference (Student's t, `seit_cl.results.metrics.mean_interval`) leaves out zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seit_cl.reporting import base
from seit_cl.reports.paired_difference import differences
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run

NOTE = (
    "Pairs are runs of the same dataset, strategy, learner, options, budget and seed. Intervals: 95 % by Student's t, each for "
    "itself. Tokens stand against the option with the most pairs at a budget, the most accurate of equals. The budget spoken of "
    "is chosen by pairs and size, never by the result."
)


@dataclass(frozen=True)
class Comparison:
    """Tokens against one other format in one setting, at one budget.

    Args:
        row: dataset, scenario, strategy.
        tokens: the series that stores tokens.
        other: the one it is compared with.
        budget: bytes.
        points: mean of final accuracy, tokens minus the other, in percentage points.
        half: half the 95 % interval of `points`; nan for one pair.
        pairs: seeds that both have.
        exemplars: mean number kept, as tokens and as the other.
        full: whether the budget turned samples away, as tokens and as the other.
    """

    row: base.Setting
    tokens: base.Series
    other: base.Series
    budget: int
    points: float
    half: float
    pairs: int
    exemplars: tuple[float, float]
    full: tuple[bool, bool]

    @property
    def verdict(self) -> str:
        """What can be told: tokens are "higher", "lower", no difference ("same"), or there is "one" pair."""
        if math.isnan(self.half):
            return "one"
        return (
            "higher" if self.points > self.half else "lower" if self.points < -self.half else "same"
        )


def answer(runs: Sequence[Run]) -> list[str]:
    """Two sentences at most, for people who read nothing else.

    Args:
        runs: all of a report, `variant` set.

    Returns:
        what the runs say, or what is missing for them to say it.
    """
    missing = _missing(runs)
    if missing:
        return missing
    found = comparisons(runs)
    if not found:
        return [
            "Nothing can be told: no run with tokens and run with another format share budget, strategy, learner and seed."
        ]
    chosen = headline(found)
    several = base.row_label(chosen.row, sorted({each.row for each in found}))
    return [
        _first(chosen, several),
        _second([each for each in found if each.tokens == chosen.tokens]),
    ]


def comparisons(runs: Sequence[Run]) -> list[Comparison]:
    """Of every setting, series of tokens and budget, the comparison with its strongest rival, where there is a pair.

    Rivals are JPEGs where any finished run stores them, else every other format.
    """
    shown = [
        run for run in base.at_all_budgets(runs) if not math.isnan(final_accuracy(run.accuracy))
    ]
    keys = base.in_order({base.series(run) for run in shown})
    rivals = [key for key in keys if is_jpeg(key)] or [
        key for key in keys if not base.is_tokens(key)
    ]
    found = []
    for row in base.rows_of(shown):
        for key in filter(base.is_tokens, keys):
            same = [other for other in rivals if other[1:] == key[1:]]  # learner and variant
            at: dict[int, list[tuple[base.Series, tuple[float, float, int]]]] = {}
            for other in same:
                for size, values in differences(shown, row, key, other).items():
                    at.setdefault(size, []).append((other, values))
            for size, candidates in sorted(at.items()):
                # all have the tokens' accuracies in common: the smallest lead is that over the most accurate
                other, values = max(candidates, key=lambda each: (each[1][2], -each[1][0]))
                found.append(_comparison(shown, row, key, other, size, values))
    return found


def _comparison(
    runs: Sequence[Run],
    row: base.Setting,
    key: base.Series,
    other: base.Series,
    size: int,
    values: tuple[float, float, int],
) -> Comparison:
    """Adds the exemplars of the paired runs to the difference."""
    mine, theirs = (
        {
            run.get("seed", 0): run
            for run in runs
            if (base.setting(run), base.series(run), base.budget(run)) == (row, k, size)
        }
        for k in (key, other)
    )
    both = mine.keys() & theirs.keys()
    kept = [
        sum(float(group[seed].get("exemplars", 0)) for seed in both) / len(both)
        for group in (mine, theirs)
    ]
    full = [any(base.binds(group[seed]) for seed in both) for group in (mine, theirs)]
    return Comparison(row, key, other, size, *values, (kept[0], kept[1]), (full[0], full[1]))


def headline(found: Sequence[Comparison]) -> Comparison:
    """The comparison to speak of, chosen without a look at its result.

    Among budgets that were filled as tokens or as the other, where there are such: the setting and tokens with the most pairs
    in all (the first of equals), there the budgets with the most pairs, of these the middle one (the lower of two).
    """
    pool = [each for each in found if any(each.full)] or list(found)
    totals = Counter[tuple[base.Setting, base.Series]]()
    for each in pool:
        totals[each.row, each.tokens] += each.pairs
    (row, tokens), _ = totals.most_common(1)[0]
    mine = [each for each in pool if (each.row, each.tokens) == (row, tokens)]
    most = max(each.pairs for each in mine)
    best = sorted((each for each in mine if each.pairs == most), key=lambda each: each.budget)
    return best[(len(best) - 1) // 2]


def is_jpeg(key: base.Series) -> bool:
    """Whether a series stores JPEGs, with their headers or without."""
    return key.format.partition(":")[0] in ("jpeg", "jpeg_scan")


def _missing(runs: Sequence[Run]) -> list[str]:
    """Why nothing can be compared; [] where something may be."""
    done = base.with_memory(runs)
    if not base.finished(runs):
        return ["No run has finished yet, so there is no answer yet."]
    if not done:
        return ["No finished run has a memory, so there is nothing to compare at equal bytes."]
    keys = {base.series(run) for run in done}
    if not any(map(base.is_tokens, keys)):
        return ["No finished run stores tokens, so there is nothing to compare with other formats."]
    if all(map(base.is_tokens, keys)):
        return [
            "Every finished run with a memory stores tokens, so there is no JPEG or other format to compare them with."
        ]
    return []


def _first(chosen: Comparison, several: str) -> str:
    """The comparison spoken of."""
    name, other, end = chosen.tokens.format, chosen.other.format, _end(chosen)
    where = f"At {base.megabytes(chosen.budget)}" + (f" ({several})" if several else "")
    if any(chosen.full):
        return f"{where}, {name} {_exemplars(chosen)} {other} and {end}."
    who = "" if chosen.verdict == "same" else f"{name} "
    return f"{where}, every sample fits as {name} and as {other}, so that these runs do not test storage; {who}{end}."


def _exemplars(chosen: Comparison) -> str:
    """ "keep 7.0 x the exemplars of" and what else may be so."""
    mine, theirs = chosen.exemplars
    if theirs < 1:
        return f"keep {mine:,.0f} exemplars against none of"
    ratio = mine / theirs
    if 0.995 < ratio < 1.005:
        return "keep as many exemplars as"
    return (
        f"keep {ratio:.0f} x the exemplars of"
        if ratio >= 9.95
        else f"keep {ratio:.2g} x the exemplars of"
    )


def _end(chosen: Comparison) -> str:
    """Where tokens end, with as much certainty as there is."""
    verdict, gap = chosen.verdict, abs(chosen.points)
    if verdict == "one":
        side = "higher" if chosen.points > 0 else "lower" if chosen.points < 0 else "apart"
        return f"end {gap:.1f} points {side} (one seed: no interval, so this is no finding)"
    if verdict == "same":
        interval = f"{chosen.points:+.1f} ± {chosen.half:.1f} points"
        return f"no difference in final accuracy can be told ({interval}, {chosen.pairs} seeds)"
    return f"end {gap:.1f} ± {chosen.half:.1f} points {verdict} ({chosen.pairs} seeds)"


def _second(found: Sequence[Comparison]) -> str:
    """How all comparisons of the same tokens came out, so that one budget cannot stand for others that say otherwise."""
    if len(found) == 1:
        return "No other budget or setting has such a pair, so this holds there only."
    counts = Counter(each.verdict for each in found)
    words = {
        "higher": "tokens end higher in {}",
        "lower": "tokens end lower in {}",
        "same": "no difference can be told in {}",
        "one": "{} had one seed only, too few to tell",
    }
    parts = [text.format(counts[verdict]) for verdict, text in words.items() if counts[verdict]]
    settings = len({each.row for each in found})
    among = f" in {settings} settings" if settings > 1 else ""
    return f"Of all {len(found)} comparisons ({_span(each.budget for each in found)}{among}), {_listed(parts)}."


def _span(sizes: Iterable[int]) -> str:
    """ "0.02 to 2 MB"."""
    known = sorted(set(sizes))
    last = base.megabytes(known[-1])
    return last if len(known) == 1 else f"{base.megabytes(known[0]).removesuffix(' MB')} to {last}"


def _listed(parts: Sequence[str]) -> str:
    """Parts of a sentence with commas and an "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
