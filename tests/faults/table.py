"""The table of `make faults`, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from faults.damage import MADE_AGAIN, NAMED, SILENT, TRACEBACK, UNHARMED, UNTOLD

from seit_cl.reporting.markdown import table as markdown_table

Values = Mapping[str, Any]
TRIALS = {
    "kills": "SIGKILL before an operation",
    "failures": "ENOSPC and EIO at an operation",
    "power": "loss of power at an operation",
}


def table(lines: Sequence[Values]) -> str:
    """Write all that was found as tables.

    Args:
        lines: values of the command's items.
    """
    parts = []
    for section in ("damage", "foreign"):
        chosen = [line for line in lines if line["section"] == section]
        if chosen:
            parts.append(_damage(chosen, has_untold=section == "foreign"))
    trials = [line for line in lines if line["section"] in TRIALS]
    if trials:
        parts.append(_trials(trials))
    parts += [_images(line) for line in lines if line["section"] == "images"]
    return "\n\n".join(parts) + "\n"


def _damage(lines: Sequence[Values], has_untold: bool) -> str:
    """The outcomes of flips and cuts by kind of file, with their sums."""
    kinds = [NAMED, MADE_AGAIN, UNHARMED, SILENT, TRACEBACK]
    if has_untold:
        kinds.insert(3, UNTOLD)
    headings = ["file", "flips", "cuts", *kinds]
    counts = []
    rows = []
    for line in lines:
        counts.append([line["wanted"]["flips"], line["wanted"]["cuts"], *map(line.get, kinds)])
        rows.append([line["name"], *map("{:,}".format, counts[-1])])
    sums = np.sum(counts, axis=0).tolist()
    rows.append(["all", *map("{:,}".format, sums)])
    return markdown_table(headings, rows)


def _trials(lines: Sequence[Values]) -> str:
    """The faults of commands."""
    headings = ["fault", "command", "operations", "faults", "wrong"]
    rows = []
    for line in lines:
        counts = (line["operations"], line["count"], len(line["problems"]))
        rows.append([TRIALS[line["section"]], line["name"], *(f"{count:,}" for count in counts)])
    return markdown_table(headings, rows)


def _images(line: Values) -> str:
    """The outcomes of hostile images by kind, and their extremes."""
    kinds: dict[str, dict[str, int]] = {}
    for name, count in line["counts"].items():
        kind, _, outcome = name.partition(": ")
        kinds.setdefault(kind.replace("_", " "), {})[outcome] = count
    outcomes = ("decoded", "refused", "traceback")
    rows = []
    for kind, counts in kinds.items():
        rows.append([kind, *(str(counts.get(outcome, 0)) for outcome in outcomes)])
    sums = ["all"]
    for outcome in outcomes:
        sums.append(str(sum(counts.get(outcome, 0) for counts in kinds.values())))
    rows.append(sums)
    longest = f"The longest took {line['seconds']:.1f} s of the processor"
    memory = f"the process took at most {line['megabytes']:.0f} MB"
    base = f"of which {line['megabytes_before']:.0f} before the first image"
    return markdown_table(["image", *outcomes], rows) + f"\n\n{longest}; {memory}, {base}."
