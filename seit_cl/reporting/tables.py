"""Tables of a report as CSV with every digit, Markdown, and LaTeX for the booktabs package."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from seit_cl.core.csv_text import csv_text

MISSING = "–"  # in a cell without a value
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "−": "$-$",
    "<": "$<$",
    ">": "$>$",
}


@dataclass(frozen=True)
class Table:
    """Rows of text, and the numbers that they show.

    Args:
        caption: meaning and units of the numbers, in plain text.
        headings: of the columns.
        rows: a cell of text for every heading.
        numbers: the content of the CSV file, as fractions and bytes.
        text_columns: the number of columns, from the left, that hold names and not numbers.
        bold: (row, column) of cells that stand out.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: pd.DataFrame
    text_columns: int = 1
    bold: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    def files(self) -> dict[str, str]:
        """The contents of the table's files, by suffix."""
        return {
            "csv": csv_text(self.numbers),
            "md": self.markdown(),
            "tex": self.latex(),
        }

    def markdown(self) -> str:
        """The table in Markdown, with bold cells in asterisks and the caption below."""
        number_columns = len(self.headings) - self.text_columns
        alignment = [":--"] * self.text_columns + ["--:"] * number_columns
        lines = [_markdown_row(self.headings), _markdown_row(alignment)]
        for i, row in enumerate(self.rows):
            cells = []
            for j, cell in enumerate(row):
                bold = (i, j) in self.bold
                text = markdown_text(cell).replace("|", r"\|")
                cells.append(f"**{text}**" if bold else text)
            lines.append(_markdown_row(cells))
        return "\n".join(lines) + f"\n\n{markdown_text(self.caption)}\n"

    def latex(self) -> str:
        r"""The table as a LaTeX environment for \usepackage{booktabs}."""
        rows = []
        for i, row in enumerate(self.rows):
            cells = []
            for j, cell in enumerate(row):
                bold = (i, j) in self.bold
                cells.append(rf"\textbf{{{latex_text(cell)}}}" if bold else latex_text(cell))
            rows.append(_latex_row(cells))
        number_columns = len(self.headings) - self.text_columns
        columns = "l" * self.text_columns + "r" * number_columns
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(self.caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _latex_row([latex_text(heading) for heading in self.headings]),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def markdown_text(text: str) -> str:
    """Keep names that others have chosen from being HTML, links or lines of their own."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text)
    # https://spec.commonmark.org/0.31.2/#raw-html: a tag, an end, a declaration or a comment.
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
    return text.replace("](", r"]\(")


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def latex_text(text: str) -> str:
    """Escape plain text for LaTeX."""
    return "".join(LATEX.get(letter, letter if letter.isprintable() else " ") for letter in text)


def plus_minus(mean: float, std: float, several: bool, decimals: int = 1) -> str:
    """Format a mean, and for several values its standard deviation, such as "12.3 ± 0.4".

    Returns:
        "–" if the mean is nan.
    """
    if math.isnan(mean):
        return MISSING
    text = f"{mean:,.{decimals}f}"
    return f"{text} ± {std:,.{decimals}f}" if several else text
