"""Tables of the reference from result files: accuracies, paired differences, equal predictions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seit_cl.reporting.markdown import page, table
from seit_cl.results.intervals import mean_interval
from studies.results import interval

NOTES = {
    ("er", "avalanche"): "its loader, with its own order",
    ("er_ace", "avalanche"): "its memory takes an experience before training on it",
    ("er_ace", "lined-up"): "memory filled after the experience",
    ("icarl", "avalanche"): "its loader: experience and exemplars as one set",
    ("icarl", "lined-up"): "our batches",
    ("gdumb", "avalanche"): "its loader: passes over the memory",
    ("gdumb", "lined-up"): "our batches, as many steps",
    ("ewc", "avalanche"): "Fisher information of batches",
    ("ewc", "lined-up"): "Fisher information of single samples",
    ("agem", "avalanche"): "the last share of the memory from the first experience on",
    ("agem", "lined-up"): "the memory always full",
}


def read(out: Path) -> list[dict[str, Any]]:
    """Read all results of a folder."""
    return [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]


def final(result: dict[str, Any]) -> float:
    """Return the accuracy in percent over all classes after the last experience."""
    return 100 * sum(result["correct"][-1]) / sum(result["total"])


def average(result: dict[str, Any]) -> float:
    """Return the average incremental accuracy in percent."""
    shares = [sum(row) / sum(result["total"][: len(row)]) for row in result["correct"]]
    return 100 * sum(shares) / len(shares)


def parts(result: dict[str, Any]) -> tuple[float, float]:
    """Return the final accuracy in percent on all experiences but the last, and on the last."""
    row = result["correct"][-1]
    total = result["total"]
    return 100 * sum(row[:-1]) / sum(total[:-1]), 100 * row[-1] / total[-1]


def answer(out: Path, typed: str) -> str:
    """Return the Markdown page of a folder of results.

    It names this machine, which need not be the one that made the runs.
    """
    results = read(out)
    sections = []
    for key in sorted({_setting(r) for r in results}):
        here = [r for r in results if _setting(r) == key]
        kind, head, epochs = key
        optimizer = "AdamW" if kind == "adamw" else "SGD"
        head_name = "growing head" if head == "grow" else f"{head} head"
        heading = f"## {optimizer}, {head_name}, {epochs} epochs"
        sections += [heading, agreement(here), "### Ours, older classes and new ones", ends(here)]
    return page("Our strategies against Avalanche's", typed, torch.device("cpu"), sections)


def agreement(results: Sequence[dict[str, Any]]) -> str:
    """Return a table with a row for each strategy and form of Avalanche's.

    It has means over seeds, paired differences with 95 % intervals by Student's t, the share of
    test images with equal predictions, and steps and exemplars of both sides.
    """
    lines = []
    for name, side in sorted({(r["strategy"], r["side"]) for r in results if r["side"] != "ours"}):
        pairs = _pairs(results, name, side)
        if not pairs:
            continue
        what = [name, NOTES.get((name, side), "as it is"), str(len(pairs))]
        mean_ours = mean_interval([final(ours) for ours, _ in pairs])[0]
        mean_theirs = mean_interval([final(theirs) for _, theirs in pairs])[0]
        means = [f"{mean_ours:.1f}", f"{mean_theirs:.1f}"]
        apart = [
            interval([final(ours) - final(theirs) for ours, theirs in pairs], "+"),
            interval([average(ours) - average(theirs) for ours, theirs in pairs], "+"),
        ]
        same = mean_interval([_same(a, b) for a, b in pairs])[0]
        counts = [_both(pairs, "steps"), _both(pairs, "held")]
        lines.append([*what, *means, *apart, f"{same:.0f}", *counts])
    head = [
        "strategy",
        "Avalanche's",
        "seeds",
        "ours, final %",
        "Avalanche's, final %",
        "difference, final",
        "difference, average",
        "same prediction, %",
        "steps",
        "exemplars",
    ]
    return table(head, lines)


def ends(results: Sequence[dict[str, Any]]) -> str:
    """Return a table of our final accuracies, on older classes and on the last ones.

    The last column is the difference to naive at the same seeds.
    """
    ours = [r for r in results if r["side"] == "ours"]
    own: dict[str, list[dict[str, Any]]] = {}
    for result in sorted(ours, key=lambda r: str(r["strategy"])):
        own.setdefault(result["strategy"], []).append(result)
    lines = []
    for name, runs in own.items():
        base = {r["seed"]: final(r) for r in own.get("naive", [])}
        above = [final(r) - base[r["seed"]] for r in runs if r["seed"] in base]
        older, new = (mean_interval(half)[0] for half in zip(*map(parts, runs), strict=True))
        gain = interval(above, "+") if name != "naive" and above else ""
        lines.append(
            [
                name,
                str(len(runs)),
                interval([final(r) for r in runs]),
                f"{older:.1f}",
                f"{new:.1f}",
                gain,
            ]
        )
    return table(
        ["strategy", "seeds", "final %", "older classes, %", "last classes, %", "above naive by"],
        lines,
    )


def _setting(result: dict[str, Any]) -> tuple[str, str, int]:
    return result["optimizer"], result["head"], result["epochs"]


def _pairs(
    results: Sequence[dict[str, Any]], name: str, side: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return pairs of our and Avalanche's results with the same seed."""
    ours = {r["seed"]: r for r in results if (r["strategy"], r["side"]) == (name, "ours")}
    return [
        (ours[r["seed"]], r)
        for r in results
        if (r["strategy"], r["side"]) == (name, side) and r["seed"] in ours
    ]


def _same(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the share of test images with equal predictions, in percent."""
    hits = [a == b for a, b in zip(ours["predicted"], theirs["predicted"], strict=True)]
    return 100 * sum(hits) / len(hits)


def _both(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], name: str) -> str:
    """Return a count of both sides, written once where they are equal."""
    counts = sorted({(a[name], b[name]) for a, b in pairs})
    return ", ".join(f"{a:,}" if a == b else f"{a:,} / {b:,}" for a, b in counts)
