"""Candidates of a sweep ranked without training, so that only the best few are trained.

The criterion is that of `--format auto` (`seit_cl.formats._quality`): the error of a linear
classifier that learns from fresh images of some classes, and from as many decoded images of the
others as fit a budget. All are training images of the first experience.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from seit_cl.comparison.options import ComparisonOptions
from seit_cl.config import RunConfig
from seit_cl.core.csv_text import DIGEST, is_sealed_csv, sealed_csv
from seit_cl.core.digests import damaged
from seit_cl.core.errors import BudgetTooSmall, reading
from seit_cl.core.files import write_atomic
from seit_cl.core.notes import note_no_digest
from seit_cl.core.progress import progress_bars
from seit_cl.core.specs import Spec
from seit_cl.data.samples import Samples
from seit_cl.experiment.build import build_strategy, build_stream, format_context
from seit_cl.experiment.remembering import MAX_FIT_SAMPLES
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import build_format
from seit_cl.formats._candidates import Candidate, candidates, sizes_of, split_kinds, try_candidate
from seit_cl.formats._trials import fresh_features
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.tokenizers._features import pooled_features

FILE = "ranking.csv"
TYPES = {
    "memory_mb": float,
    "format": str,
    "error": float,
    "record_bytes": float,
    "exemplars": int,
}
COLUMNS = list(TYPES)
REMEDY = "restore it, or delete it to rank the candidates again"


def read_ranking(out: Path) -> pd.DataFrame:
    """Read the ranking of a folder of results; without rows where there is none.

    Raises:
        UserError: it is damaged, or was edited.
    """
    path = out / FILE
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    with reading(path, "not a readable ranking", REMEDY):
        text = path.read_bytes().decode(errors="surrogateescape")
        is_whole = is_sealed_csv(text)
        if is_whole is False:
            raise damaged(path, REMEDY)
        # As text first, since pandas may round numbers and Python's float does not.
        table = pd.read_csv(io.StringIO(text), dtype=str)
        if list(table.columns) != [*COLUMNS, *([DIGEST] if is_whole else [])]:
            raise ValueError(f"columns are {list(table.columns)}, not {COLUMNS}")
        if table.empty:  # perhaps cut within its head, where the digest's column begins
            raise ValueError("has no rows")
        table = table.astype(TYPES)
    if is_whole is None:
        note_no_digest(path)
    return table[COLUMNS]


def rank(
    options: ComparisonOptions,
    config: RunConfig,
    budgets: Sequence[float],
    out: Path,
    console: Console,
) -> None:
    """Rank the candidates of a sweep at every budget in the folder's ranking, if it lacks any.

    Args:
        options: give kinds, qualities and sides.
        config: a run of the sweep, whose training images are used.
        budgets: in MB.
        out: folder of the results.
        console: shows progress.

    Raises:
        UserError: bad data, or candidates that cannot be built.
    """
    kinds = split_kinds("+".join(options.kind))
    data = RunData(config)
    sizes = sizes_of(options.sides, data.resolution)
    chosen = list(candidates(kinds, options.quality, sizes))
    ranking = read_ranking(out)
    done = set(zip(ranking["memory_mb"], ranking["format"], strict=True))
    if all((budget, each.spec) in done for budget in budgets for each in chosen):
        return
    ranker = Ranker(config, data)
    rows: list[dict[str, Any]] = []
    with progress_bars(console) as bars:
        task = bars.add_task(f"ranking {len(chosen)} candidates", total=len(chosen))
        for candidate in chosen:
            rows += ranker.rows(candidate, budgets)
            bars.advance(task)
    # New rows replace earlier ones of the same place.
    joined = pd.DataFrame([*ranking.to_dict("records"), *rows], columns=COLUMNS)
    joined = joined.drop_duplicates(["memory_mb", "format"], keep="last")
    write_atomic(out / FILE, sealed_csv(joined))


def best_candidates(options: ComparisonOptions, out: Path, budget: float) -> list[str]:
    """Return the specs of each kind's first candidates at a budget, by the folder's ranking.

    Args:
        options: give kinds, qualities, sides and the number of each kind; 0: all.
        out: folder of the results.
        budget: in MB.
    """
    ranking = read_ranking(out)
    at_budget = ranking[ranking["memory_mb"] == budget].sort_values(["error", "format"])
    by_kind: dict[str, list[str]] = {kind.replace("-", "_"): [] for kind in options.kind}
    for text in at_budget["format"]:
        spec = Spec.parse(text)
        resized = "size" in spec.options
        is_candidate = int(spec.options["quality"]) in options.quality
        if resized and options.sides == (100,):
            is_candidate = False
        if is_candidate and spec.key in by_kind:
            by_kind[spec.key].append(text)
    return [text for specs in by_kind.values() for text in specs[: options.trained or None]]


class Ranker:
    """Errors of candidates on training images of a run's first experience.

    Args:
        config: of the run.
        data: the run's.
    """

    def __init__(self, config: RunConfig, data: RunData) -> None:
        stream = build_stream(config, data.dataset, build_strategy(config))
        ids = stream.train[0]
        ids = ids[:: -(-len(ids) // MAX_FIT_SAMPLES)]
        self.samples = Samples(ids, stream.labels(data.dataset.train.labels)[ids], data)
        self.context = format_context(data, len(stream.class_order))
        self.features = partial(pooled_features, data.tokenizer)
        self.fresh = fresh_features(self.samples, data.resolution, self.features)

    def rows(self, candidate: Candidate, budgets: Sequence[float]) -> list[dict[str, Any]]:
        """Return the rows of a candidate at budgets in MB."""
        trial = try_candidate(candidate, self.context, self.samples, self.features)
        rows = []
        for budget in budgets:
            count = self._exemplars(candidate, trial.mean_length, budget)
            error = trial.error(self.fresh, self.samples.labels, count / self.context.classes)
            values = (budget, candidate.spec, error, trial.mean_length, int(count))
            rows.append(dict(zip(COLUMNS, values, strict=True)))
        return rows

    def _exemplars(self, candidate: Candidate, mean_length: float, budget: float) -> float:
        """Return the exemplars that a budget in MB holds; 0 where it is too small for a memory."""
        fmt = build_format(candidate.spec, self.context)
        try:
            memory = ByteBudgetBuffer(round(budget * 1_000_000), fmt, self.context)
        except BudgetTooSmall:
            return 0.0
        return memory.exemplars_that_fit(mean_length)
