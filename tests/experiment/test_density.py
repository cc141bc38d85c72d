"""Measuring formats: the table's bytes are those of a memory."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from helpers.dataset_samples import SAMPLES
from helpers.tokenizer_samples import bundled
from seit_cl.core.errors import UserError
from seit_cl.experiment.density import ImageSource, Material, open_material
from seit_cl.experiment.density_measures import measure_formats
from seit_cl.formats import build_format
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.reporting.density import exemplars_in
from seit_cl.tokenizers import DEFAULT_TOKENIZER


@pytest.mark.parametrize(
    ("spec", "tolerance"), [("tokens", 1), ("jpeg", 4), ("tokens:coder=context", 4)]
)
def test_as_many_exemplars_fit_as_a_memory_stores(
    fractals: Path, spec: str, tolerance: int
) -> None:
    paths = sorted((fractals / "train").glob("*/*"))
    material = Material(bundled(), ImageSource(paths, 64, bundled()), side=64, classes=5)
    fmt = build_format(spec, material.context)
    (measures,) = measure_formats([fmt], material, Console(quiet=True))
    row = pd.Series(measures.row())
    budget = int(row["header"] + row["tables"] + 0.5 * len(paths) * row["bytes_each"])
    memory = ByteBudgetBuffer(budget, fmt, material.context, "reservoir")
    memory.offer(material.samples)
    assert exemplars_in(row, budget / 1e6) == pytest.approx(len(memory), abs=tolerance)


def test_images_that_cannot_be_read_are_left_out_where_asked_for(
    fractals: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(fractals, tmp_path / "data")
    first, *others = sorted((tmp_path / "data" / "val").glob("*/*"))
    first.write_bytes(first.read_bytes()[:100])
    with pytest.raises(UserError, match=f"{first}.*--skip-bad-images leaves such images out"):
        open_material(tmp_path / "data", 500, 0, DEFAULT_TOKENIZER)
    material = open_material(tmp_path / "data", 500, 0, DEFAULT_TOKENIZER, skip_bad_images=True)
    assert len(material.samples) == len(others)
    assert f"1 of {1 + len(others)} images cannot be read and are left out: {first}" in caplog.text
    for path in others:
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match="cannot be read, nor can any other image"):
        open_material(tmp_path / "data", 500, 64, DEFAULT_TOKENIZER, skip_bad_images=True)


@pytest.mark.parametrize("name", ["webdataset", "npz"])
def test_data_of_another_kind_is_measured_by_its_val_split(name: str, tmp_path: Path) -> None:
    path = SAMPLES[name].write(tmp_path / name)
    material = open_material(path, 4, 0, DEFAULT_TOKENIZER)
    assert (len(material.samples), material.side, material.classes) == (4, 32, 3)
    assert len(material.samples.files()[0]) > 0
