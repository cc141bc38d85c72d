"""The results of a pilot in plain words: every sentence follows from measured numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from seit_cl.core.numbers import significant
from seit_cl.formats import format_class, format_domain
from seit_cl.piloting.plan import Plan
from seit_cl.piloting.results import (
    ArmResult,
    best,
    canonical,
    difference,
    guessing,
    half_text,
    reference,
)
from seit_cl.reporting.cost import Storage, month_when_full
from seit_cl.reporting.labels import megabytes
from seit_cl.reporting.pairs import Difference, pairs_text
from seit_cl.reporting.storage import KEPT, Fidelity
from seit_cl.results.intervals import FEWEST_PAIRS

MB = 1_000_000
FEWEST_DECIBELS = 15  # PSNR, below which little of an image comes back
TOLERATED = 5.0  # points that an interval may leave open where a format counts as without loss
# What the decision says before the names of formats, and after them.
OUTCOMES = {
    "small": (
        "Cheaper than the original files, and a loss of accuracy of more than "
        f"{TOLERATED:g} points is excluded",
        "",
    ),
    "loss": ("Cheaper than the original files, with a measured loss of accuracy", ""),
    "weak": (
        "Cheaper than the original files, undecided by accuracy",
        " Even with the originals, the learner hardly does better than guessing: give more images "
        "or more --epochs.",
    ),
    "undecided": (
        "Cheaper than the original files, undecided by accuracy",
        f" A claim needs {FEWEST_PAIRS} seeds with finished runs.",
    ),
    "wide": (
        "Cheaper than the original files, undecided by accuracy",
        f" The interval leaves a loss of more than {TOLERATED:g} points open.",
    ),
    "not cheaper": ("Not cheaper than the original files", ""),
}
Priced = Mapping[str, tuple[Storage, Fidelity]]


def money(value: float) -> str:
    """A sum in the currency of the prices, with three significant digits."""
    return significant(value, 3)


def sentences(plan: Plan, results: Sequence[ArmResult], priced: Priced) -> list[str]:
    """The decision: cost and accuracy of each format beside the originals, then of each memory.

    Args:
        plan: of the pilot.
        results: its arms that have a finished run.
        priced: storage by canonical spec, and of the original files.
    """
    originals = reference(results)
    lines = [_originals_sentence(originals, priced, plan)]
    outcomes: dict[str, list[str]] = {}
    others = [each for each in results if not each.arm.is_original]
    formats = list(dict.fromkeys(each.arm.format for each in others))
    for name in formats:
        kept = [each for each in results if each.arm.format == name and each.arm.keeps_all]
        result = best(kept, name, kept[0].arm.memory_mb) if kept else None
        if result is not None:
            group = outcome(plan, result, originals, priced)
            outcomes.setdefault(group, []).append(result.label)
            lines.append(_format_sentence(plan, result, originals, priced))
    budgets = sorted({each.arm.memory_mb for each in results if not each.arm.keeps_all})
    for budget in budgets:
        stored = [best(results, name, budget) for name in formats]
        lines.append(_memory_sentence(budget, [each for each in stored if each], originals))
    decision = " ".join([_decision(outcomes), *_reduced(plan, others)])
    return [decision, *lines]


def outcome(plan: Plan, result: ArmResult, originals: ArmResult | None, priced: Priced) -> str:
    """The group that the decision puts a format in, one of OUTCOMES."""
    prices = plan.options.prices
    month = month_when_full(priced[canonical(plan, result.spec)][0], prices)
    compared = difference(result, originals) if originals is not None else None
    if month >= month_when_full(priced[KEPT][0], prices):
        return "not cheaper"
    if compared is not None and compared.is_claim and compared.points < 0:
        return "loss"
    if originals is not None and _is_weak(originals):
        return "weak"
    if compared is None or compared.pairs < FEWEST_PAIRS:
        return "undecided"
    return "small" if compared.half - compared.points <= TOLERATED else "wide"


def _is_weak(originals: ArmResult) -> bool:
    """True where the learner may be so near guessing that it has no TOLERATED points to lose."""
    mean, half = originals.accuracy
    lowest = mean - half if math.isfinite(half) else mean
    return lowest - guessing(originals) <= TOLERATED


def _decision(outcomes: Mapping[str, Sequence[str]]) -> str:
    """The first sentences: formats by what cost and accuracy allow to say."""
    parts = []
    for name, (text, reason) in OUTCOMES.items():
        if name in outcomes:
            parts.append(f"{text}: {_listed(outcomes[name])}.{reason}")
    if not parts:
        return (
            "No format but the original files has a finished run that keeps everything, so there "
            "is no decision yet."
        )
    return " ".join(parts)


def _reduced(plan: Plan, others: Sequence[ArmResult]) -> list[str]:
    """A sentence on what is kept of an image; none where every format keeps the files."""
    specs = [each.arm.format for each in others]
    if all(getattr(format_class(spec), "stores_files", False) for spec in specs):
        return []
    side = plan.context.resolution
    return [
        "Formats that do not keep the original files keep no more of an image than its square "
        f"centre at {side} x {side} px, and their costs are for that."
    ]


def _originals_sentence(originals: ArmResult | None, priced: Priced, plan: Plan) -> str:
    """Cost and accuracy of keeping the files as they are."""
    prices = plan.options.prices
    month = month_when_full(priced[KEPT][0], prices)
    cost = (
        f"Kept as the original files, {prices.images_per_day:,.10g} images a day cost "
        f"{money(month)} a month once the store is full, after {prices.retention_months:g} months"
    )
    if originals is None:
        return f"{cost}; no run that keeps them has finished, so there is nothing to compare with."
    return (
        f"{cost}, and the learner of this pilot ends at {_percent(originals)}, where always "
        f"answering the class with most test images gives {guessing(originals):.1f} %."
    )


def _format_sentence(
    plan: Plan, result: ArmResult, originals: ArmResult | None, priced: Priced
) -> str:
    """Cost and accuracy of keeping everything in a format."""
    prices = plan.options.prices
    full = month_when_full(priced[KEPT][0], prices)
    storage, fidelity = priced[canonical(plan, result.spec)]
    month = month_when_full(storage, prices)
    share = f", {significant(100 * month / full, 2)} % of that" if full else ""
    cost = f"As {result.label} they cost {money(month)} a month{share}"
    compared = difference(result, originals) if originals is not None else None
    if fidelity.psnr < FEWEST_DECIBELS:
        cost += f", but images come back at {fidelity.psnr:.1f} dB only"
        if format_domain(result.arm.format) == "tokens":
            cost += ": train the tokenizer longer (--minutes)"
    if compared is None:
        return f"{cost}; the learner ends at {_percent(result)}, without a run to compare with."
    return f"{cost}; the learner ends at {_percent(result)}: {verdict(compared)}."


def verdict(compared: Difference, than: str = "with the originals") -> str:
    """Say as much as a difference in accuracy allows.

    Args:
        compared: of a format, minus the other one.
        than: the other one, in words.
    """
    points, half = compared.points, compared.half
    word = "higher" if points > 0 else "lower"
    is_the_same = not round(points, 1)
    gap = f"the same as {than}" if is_the_same else f"{abs(points):.1f} points {word} than {than}"
    if compared.pairs < FEWEST_PAIRS:
        count = "one pair" if compared.pairs == 1 else f"{compared.pairs} pairs"
        return f"{gap}; no claim is possible with {count} of runs"
    pairs = pairs_text([compared])
    if compared.is_claim:
        return f"{abs(points):.1f} ± {half:.1f} points {word} than {than} ({pairs})"
    worst = half - points
    return (
        f"no difference from {than.removeprefix('with ')} can be claimed ({signed(points)} ± "
        f"{half:.1f} points, {pairs}), and a loss of up to {worst:.1f} points is not excluded"
    )


def signed(points: float) -> str:
    """Points with their sign and one decimal; what rounds to 0 is +0.0."""
    return f"{round(points, 1) + 0.0:+.1f}"


def _memory_sentence(
    budget: float, stored: Sequence[ArmResult], originals: ArmResult | None
) -> str:
    """Say how much a memory of a number of bytes holds in each format, and the accuracy kept."""
    parts = [f"{each.exemplars:,.0f} images as {each.label} ({_percent(each)})" for each in stored]
    of_all = f", where all originals give {originals.accuracy[0]:.1f} %" if originals else ""
    text = f"A memory of {megabytes(budget * MB)} holds {_listed(parts)}{of_all}"
    first, *others = stored
    clauses = []
    for other in others:
        compared = difference(first, other)
        if compared is not None:
            clauses.append(f"{first.label}: {verdict(compared, f'with {other.label}')}")
    return f"{'; '.join([text, *clauses])}."


def _percent(result: ArmResult) -> str:
    """Mean final accuracy with its interval, such as "41.2 ± 1.3 %"."""
    mean, half = result.accuracy
    return f"{mean:.1f}{half_text(half)} %"


def _listed(parts: Sequence[str]) -> str:
    """Parts of a sentence with commas and a last "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
