"""pilot.html: the decision in plain words, costs over time, pictures, classes that lose most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from seit_cl.core.files import write_atomic
from seit_cl.datasets._location import location_name
from seit_cl.piloting import words
from seit_cl.piloting.plan import LEFT_OUT, Plan, left_out_file
from seit_cl.piloting.results import (
    ArmResult,
    best,
    canonical,
    class_losses,
    difference,
    half_text,
    reference,
)
from seit_cl.piloting.stages import PICTURE
from seit_cl.reporting.cost import Prices, gigabytes, month_when_full, spent
from seit_cl.reporting.labels import megabytes
from seit_cl.reporting.page_images import to_base64
from seit_cl.reporting.storage import KEPT, describe_stream, priced_formats
from seit_cl.results.intervals import INDISTINCT, PAIRED_METHOD
from seit_cl.tokenizers import open_tokenizer

PAGE = "pilot.html"
MONTHS = (1, 2, 3, 6, 12, 18, 24, 36, 48, 60, 84, 120)  # of the table, as far as images are kept
WORST = 5  # classes of a table


def write_page(
    plan: Plan,
    results: Sequence[ArmResult],
    density: pd.DataFrame,
    failures: Sequence[str],
    command: str,
) -> tuple[Path, list[str]]:
    """Write the page of a pilot.

    Args:
        plan: of the pilot.
        results: its arms that have a finished run.
        density: bytes and fidelity of the formats, as measured.
        failures: a line for each run that failed.
        command: as typed.

    Returns:
        The path of the page, and the sentences of its decision.
    """
    measured = priced_formats(density)
    chosen = [canonical(plan, each.spec) for each in results if not each.arm.is_original]
    priced = {name: measured[name] for name in dict.fromkeys([KEPT, *chosen])}
    sentences = words.sentences(plan, results, priced)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_resource("seit_cl.piloting", "pilot.html.j2"))
    text = template.render(
        name=location_name(plan.options.data_root),
        css=_resource("seit_cl.reporting", "report.css"),
        sentences=sentences,
        stream=describe_stream(plan.options.prices),
        costs=cost_rows(priced, plan.options.prices),
        formats=list(priced),
        storage=storage_rows(priced),
        accuracies=accuracy_rows(results),
        interval=PAIRED_METHOD,
        losses=loss_tables(results),
        indistinct=INDISTINCT,
        picture=to_base64((plan.options.folder / PICTURE).read_bytes()),
        failures=failures,
        facts=facts(plan),
        command=command,
        tokenizer_labels=plan.options.targets == "labels" or not plan.tokenizer.is_own,
        own_tokenizer=plan.tokenizer.is_own,
        minutes=f"{plan.options.minutes:g}",
        side=plan.side,
        tests=len(plan.dataset.val),
        chance=f"{100 * most_of_chance(len(plan.dataset.val)):.0f}",
        compares_tokens=any(each.arm.format == "tokens" for each in results),
    )
    path = plan.options.folder / PAGE
    write_atomic(path, text)
    return path, sentences


def _resource(package: str, name: str) -> str:
    """The text of a file of a package."""
    return (files(package) / name).read_text(encoding="utf-8")


def cost_rows(priced: words.Priced, prices: Prices) -> list[list[str]]:
    """Rows of the cost over time, a column for each format.

    Months, with what is spent until then; then a month once the store is full, and its GB.
    """
    retention = prices.retention_months
    months = [float(month) for month in MONTHS if month < retention] + [retention]
    storages = [storage for storage, _ in priced.values()]
    rows = []
    for month in months:
        cells = [words.money(spent(storage, prices, month)) for storage in storages]
        rows.append(["first month" if month == 1 else f"first {month:,.10g} months", *cells])
    full = [words.money(month_when_full(storage, prices)) for storage in storages]
    sizes = [words.money(gigabytes(storage, prices, retention)) for storage in storages]
    return [*rows, ["each month, once full", *full], ["GB, once full", *sizes]]


def storage_rows(priced: words.Priced) -> list[list[str]]:
    """Rows of bytes and fidelity: format, bytes each, PSNR, SSIM, tokens kept."""
    rows = []
    for name, (storage, fidelity) in priced.items():
        rows.append([name, f"{storage.bytes_each:,.0f}", *fidelity.cells()])
    return rows


def accuracy_rows(results: Sequence[ArmResult]) -> list[list[str]]:
    """Rows of accuracies: kept, format, learner, images, bytes each, runs, final %, difference."""
    originals = reference(results)
    rows = []
    for each in results:
        mean, half = each.accuracy
        compared = None
        if originals is not None and each is not originals:
            compared = difference(each, originals)
        gap = (
            "–"
            if compared is None
            else f"{words.signed(compared.points)}{half_text(compared.half)}"
        )
        rows.append(
            [
                _kept(each),
                each.label,
                each.arm.learner,
                f"{each.exemplars:,.0f}",
                f"{each.mean('bytes_per_exemplar'):,.0f}",
                str(len(each.runs)),
                f"{mean:.1f}{half_text(half)}",
                gap,
            ]
        )
    return rows


def _kept(result: ArmResult) -> str:
    """The size of a memory in words."""
    if result.arm.keeps_all and not result.binds:
        return "everything"
    return megabytes(result.arm.memory_mb * words.MB)


def loss_tables(results: Sequence[ArmResult]) -> list[dict[str, Any]]:
    """A table for each format and memory: the classes that end lowest beside the originals.

    Returns:
        title, rows of cells, and the number of classes that end lower.
    """
    originals = reference(results)
    if originals is None:
        return []
    places = [(each.arm.format, each.arm.memory_mb) for each in results if not each.arm.is_original]
    tables = []
    for name, budget in dict.fromkeys(places):
        result = best(results, name, budget)
        assert result is not None
        if difference(result, originals) is None:
            continue
        losses = class_losses(result, originals)
        rows = []
        for loss in losses[:WORST]:
            rows.append(
                [
                    loss.name,
                    f"{loss.other_correct:,} of {loss.other_total:,}",
                    f"{loss.correct:,} of {loss.total:,}",
                    f"{loss.points:+.0f}",
                    f"{loss.images:.1f}",
                ]
            )
        title = f"{result.label}, {_kept(result)}, learner of {result.arm.learner}"
        tables.append({"title": title, "rows": rows, "lower": len(losses)})
    return tables


def most_of_chance(images: int) -> float:
    """Half the width of the 95 % interval of an accuracy of one half on so many test images.

    It is the widest of all accuracies, by the normal approximation of a binomial share.
    """
    return 0.98 / math.sqrt(images)


def facts(plan: Plan) -> dict[str, str]:
    """Data, tokenizer, learner and seeds that the numbers were made with, by name."""
    dataset, options = plan.dataset, plan.options
    config = plan.configs(plan.arms[0])[0]
    tokenizer = open_tokenizer(plan.tokenizer.spec)
    card = tokenizer.card.get("figures", "")
    figures = f"after its training {card}" if card else ""
    made = "the bundled one"
    if plan.tokenizer.is_own:
        made = f"trained for {options.minutes:g} min on the training images"
    compared = plan.tokenizer.comparison()
    left_out = left_out_file(options)
    unread = "" if left_out is None else f"; those that cannot be decoded are left out ({LEFT_OUT})"
    return {
        "photographs": (
            f"{len(dataset.train):,} to learn from, {len(dataset.val):,} to test on, "
            f"{len(dataset.classes)} classes, at {plan.side} px{unread}"
        ),
        "test images": dataset.held_out or "the folder's own",
        "tokenizer": "; ".join(part for part in (made, figures, compared) if part),
        "learner": (
            f"model {config.model}, strategy {config.strategy}, "
            f"--experiences {config.experiences}, --epochs {config.epochs}"
        ),
        "seeds": ", ".join(map(str, options.seed)),
    }
