"""A table of the report, and its files: CSV with every digit, Markdown, and LaTeX for the booktabs package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

SPECIAL = {
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
    """Text in rows, and the numbers behind it.

    Args:
        caption: what the numbers are, with their units; plain text.
        headings: of the columns.
        rows: a text for every heading.
        numbers: what the CSV file holds; fractions and bytes.
        text_columns: how many columns, from the left, are names rather than numbers.
        bold: (row, column) of cells that stand out.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: pd.DataFrame
    text_columns: int = 1
    bold: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    def files(self) -> dict[str, str]:
        """Suffix -> content of the files."""
        return {
            "csv": self.numbers.to_csv(index=False, lineterminator="\n"),
            "md": self.markdown(),
            "tex": self.latex(),
        }

    def markdown(self) -> str:
        """The table, bold cells in asterisks, and the caption under it."""
        lines = [
            list(self.headings),
            [":--" if i < self.text_columns else "--:" for i in range(len(self.headings))],
        ]
        for i, row in enumerate(self.rows):
            lines.append(
                [
                    f"**{cell}**" if (i, j) in self.bold else cell.replace("|", r"\|")
                    for j, cell in enumerate(row)
                ]
            )
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{self.caption}\n"

    def latex(self) -> str:
        r"""A table environment for \usepackage{booktabs}."""
        columns = "l" * self.text_columns + "r" * (len(self.headings) - self.text_columns)
        body = []
        for i, row in enumerate(self.rows):
            cells = [
                rf"\textbf{{{escaped(cell)}}}" if (i, j) in self.bold else escaped(cell)
                for j, cell in enumerate(row)
            ]
            body.append(" & ".join(cells) + r" \\")
        head = " & ".join(map(escaped, self.headings)) + r" \\"
        parts = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(self.caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
        ]
        parts += [
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Plain text as LaTeX."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def plus_minus(mean: float, std: float, several: bool, digits: int = 1) -> str:
    """Mean ± standard deviation, the latter where there are several values; "–" for nan."""
    if mean != mean:
        return "–"
    return f"{mean:,.{digits}f} ± {std:,.{digits}f}" if several else f"{mean:,.{digits}f}"
