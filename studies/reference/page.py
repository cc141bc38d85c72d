"""The reference table from its results alone: accuracies of both sides, their paired differences, and predictions in common."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seit_cl.reporting.markdown import page, table
from seit_cl.results.metrics import mean_interval

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
    """All results of a folder."""
    return [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]


def final(result: dict[str, Any]) -> float:
    """Accuracy in percent over all classes, after the last experience."""
    return 100 * sum(result["correct"][-1]) / sum(result["total"])


def average(result: dict[str, Any]) -> float:
    """Average incremental accuracy in percent: the mean over experiences of accuracy on the classes seen."""
    shares = [sum(row) / sum(result["total"][: len(row)]) for row in result["correct"]]
    return 100 * sum(shares) / len(shares)


def parts(result: dict[str, Any]) -> tuple[float, float]:
    """Final accuracy in percent on the experiences before the last one, and on the last."""
    row, total = result["correct"][-1], result["total"]
    return 100 * sum(row[:-1]) / sum(total[:-1]), 100 * row[-1] / total[-1]


def answer(out: Path, typed: str) -> str:
    """The page of a folder of results, in Markdown; the machine it names is this one, which need not have made the runs."""
    results = read(out)
    sections = []
    for key in sorted({_setting(r) for r in results}):
        here = [r for r in results if _setting(r) == key]
        kind, head, epochs = key
        heading = f"## {'AdamW' if kind == 'adamw' else 'SGD'}, {head}{'ing' * (head == 'grow')} head, {epochs} epochs"
        sections += [heading, agreement(here), "### Ours, older classes and new ones", ends(here)]
    return page("Our strategies against Avalanche's", typed, torch.device("cpu"), sections)


def agreement(results: Sequence[dict[str, Any]]) -> str:
    """A row for each strategy and form of Avalanche's: means over seeds, paired differences with 95 % intervals by Student's t
    where both sides have a seed, the test images on which both predict the same, and steps and exemplars of both."""
    lines = []
    for name, side in sorted({(r["strategy"], r["side"]) for r in results if r["side"] != "ours"}):
        pairs = _pairs(results, name, side)
        if not pairs:
            continue
        what = [name, NOTES.get((name, side), "as it is"), str(len(pairs))]
        means = [
            f"{mean_interval([final(r) for r in half])[0]:.1f}" for half in zip(*pairs, strict=True)
        ]
        apart = [
            _interval([measure(a) - measure(b) for a, b in pairs]) for measure in (final, average)
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
    """Our final accuracies: over all classes, on older ones and on those of the last experience, and against naive with the same
    seeds."""
    names = sorted({r["strategy"] for r in results if r["side"] == "ours"})
    own = {
        name: [r for r in results if r["strategy"] == name and r["side"] == "ours"]
        for name in names
    }
    lines = []
    for name, runs in own.items():
        base = {r["seed"]: final(r) for r in own.get("naive", [])}
        above = [final(r) - base[r["seed"]] for r in runs if r["seed"] in base]
        older, new = (mean_interval(half)[0] for half in zip(*map(parts, runs), strict=True))
        gain = _interval(above) if name != "naive" and above else ""
        lines.append(
            [
                name,
                str(len(runs)),
                _interval([final(r) for r in runs], ""),
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
    """Ours and Avalanche's of the same seed."""
    ours = {r["seed"]: r for r in results if (r["strategy"], r["side"]) == (name, "ours")}
    return [
        (ours[r["seed"]], r)
        for r in results
        if (r["strategy"], r["side"]) == (name, side) and r["seed"] in ours
    ]


def _interval(values: Sequence[float], sign: str = "+") -> str:
    mean, half = mean_interval(values)
    return f"{mean:{sign}.1f} ± {half:.1f}" if len(values) > 1 else f"{mean:{sign}.1f}"


def _same(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Percent of the test images that both give the same class."""
    hits = [a == b for a, b in zip(ours["predicted"], theirs["predicted"], strict=True)]
    return 100 * sum(hits) / len(hits)


def _both(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], name: str) -> str:
    """A count of ours and of Avalanche's, once where they are equal."""
    found = sorted({(a[name], b[name]) for a, b in pairs})
    return ", ".join(f"{a:,}" if a == b else f"{a:,} / {b:,}" for a, b in found)
