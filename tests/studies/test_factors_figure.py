"""README's figure and table follow from the published runs of the study."""

import re
from pathlib import Path

import pandas as pd
import pytest

from studies.factors import figure

README = Path(__file__).resolve().parents[2] / "README.md"
ROWS = {
    "tokens": "**no label of other classes**: tokens",
    "images-tokens": "images through the same learner",
    "pixels": "images, ViT on pixels from scratch",
    "tokens-labels": "**labels of other classes**: tokens",
    "images-tokens-labels": "images through the same learner",
    "pixels-vit": "images, ViT on pixels pre-trained",
}


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return pd.read_csv(figure.PUBLISHED)


def table_rows() -> list[str]:
    return [line for line in README.read_text().splitlines() if line.startswith("| ")]


def test_the_table_of_the_readme_has_the_means_of_the_published_runs(runs: pd.DataFrame) -> None:
    rows = [row for row in table_rows() if row[2:].startswith(tuple(ROWS.values()))]
    assert len(rows) == len(ROWS)
    for row, (arm, name) in zip(rows, ROWS.items(), strict=True):
        assert row[2:].startswith(name)
        shown = [float(value) for value in re.findall(r"\d+\.\d", row)]
        means = [figure.accuracies(runs, arm, budget).mean() for budget in figure.BUDGETS]
        assert shown == pytest.approx(means, abs=0.0501)


def test_every_line_of_the_figure_has_five_runs_at_every_budget(runs: pd.DataFrame) -> None:
    arms = [arm for lines in figure.PANELS.values() for arm in lines]
    counts = {len(figure.accuracies(runs, arm, b)) for arm in arms for b in figure.BUDGETS}
    assert counts == {5}


def test_the_figure_is_a_png_file(runs: pd.DataFrame) -> None:
    assert figure.draw(runs).startswith(b"\x89PNG")
