"""CSV files with names that others have chosen: one record a row, and no cell that is a formula."""

from __future__ import annotations

import io
import re

import pandas as pd

from seit_cl.core.digests import digest

DIGEST = "digest"  # a last column with the digest of all others, the same in every row
# Text that a spreadsheet takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection),
# perhaps after apostrophes, so that those that a name has itself can be told from ours.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class _Rows(io.StringIO):
    """Text that ends rows with a line feed, whatever csv.writer ends them with."""

    def write(self, row: str) -> int:
        return super().write(row.removesuffix("\r\n") + "\n" if row.endswith("\r\n") else row)


def csv_text(table: pd.DataFrame) -> str:
    """Write a table as CSV with a head and without its index.

    Text that a spreadsheet would run as a formula begins with an apostrophe (`protected`).
    """
    protected_table = table.copy()
    for name in table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]:
        protected_table[name] = table[name].map(_protected_cell)
    protected_table.columns = pd.Index([_protected_cell(name) for name in table.columns])
    rows = _Rows(newline="")
    # csv.writer quotes the letters of its line end: both, so that a name with either is one cell.
    protected_table.to_csv(rows, index=False, lineterminator="\r\n")
    return rows.getvalue()


def sealed_csv(table: pd.DataFrame) -> str:
    """Write a table as `csv_text` does, with a last column that has the digest of the others.

    Args:
        table: with a row at least; no cell has a line end.
    """
    return csv_text(table.assign(**{DIGEST: digest(csv_text(table).encode())}))


def is_sealed_csv(text: str) -> bool | None:
    """Compare a text with the digest in its last column.

    Returns:
        None where there is no such column; False where it differs, or no row is left.
    """
    head, *rows = text.removesuffix("\n").split("\n")
    names, _, last = head.rpartition(",")
    if last != DIGEST:
        return None
    lines = [names]
    digests = set()
    for row in rows:
        cells, _, own = row.rpartition(",")
        lines.append(cells)
        digests.add(own)
    expected = digest(("\n".join(lines) + "\n").encode(errors="surrogateescape"))
    return digests == {expected} and text.endswith("\n")


def _protected_cell(value: object) -> object:
    return protected(value) if isinstance(value, str) else value


def protected(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would take for a formula."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def unprotected(cell: str) -> str:
    """Remove the apostrophe of `protected`."""
    if cell.startswith("'") and _FORMULA.match(cell):
        return cell[1:]
    return cell
