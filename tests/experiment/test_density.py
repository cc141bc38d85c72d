"""Measuring formats: the table's bytes are those of a memory."""

from pathlib import Path

import pandas as pd
import pytest

from helpers.tokenizer_samples import bundled
from seit_cl.experiment.density import FileSource, Material, measure_format
from seit_cl.formats import build_format
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.reporting.density import exemplars_in


@pytest.mark.parametrize(
    ("spec", "tolerance"), [("tokens", 1), ("jpeg", 4), ("tokens:coder=context", 4)]
)
def test_as_many_exemplars_fit_as_a_memory_stores(
    fractals: Path, spec: str, tolerance: int
) -> None:
    paths = sorted((fractals / "train").glob("*/*"))
    material = Material(bundled(), FileSource(paths, 64, bundled()), side=64, classes=5)
    fmt = build_format(spec, material.context)
    row = pd.Series(measure_format(fmt, material))
    budget = int(row["header"] + row["tables"] + 0.5 * len(paths) * row["bytes_each"])
    memory = ByteBudgetBuffer(budget, fmt, material.context, "reservoir")
    memory.offer(material.samples)
    assert exemplars_in(row, budget / 1e6) == pytest.approx(len(memory), abs=tolerance)
