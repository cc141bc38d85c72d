"""Tables as Markdown, LaTeX and CSV."""

import csv
import io

import pandas as pd
import pytest

from seit_cl.reporting.tables import Table, markdown_text, plus_minus


def test_markdown_and_latex_escape_what_would_break_them():
    numbers = pd.DataFrame({"a": ["c"]})
    table = Table("5 % of a_b", ["a|b", "x"], [["c|d & e_f", "1"]], numbers)
    assert r"c\|d" in table.markdown()
    tex = table.latex()
    assert r"c|d \& e\_f & 1 \\" in tex
    assert r"5 \% of a\_b" in tex
    assert r"\toprule" in tex
    assert list(csv.reader(io.StringIO(table.files()["csv"]))) == [["a"], ["c"]]


def test_bold_cells_stand_out_in_markdown_and_latex():
    numbers = pd.DataFrame({"x": [1.5, 2.5]})
    rows = [["a", "1.5 ± 0.1"], ["b", "2.5"]]
    table = Table("caption", ["name", "x"], rows, numbers, bold=frozenset({(0, 1)}))
    assert table.markdown() == (
        "| name | x |\n| :-- | --: |\n| a | **1.5 ± 0.1** |\n| b | 2.5 |\n\ncaption\n"
    )
    assert r"a & \textbf{1.5 $\pm$ 0.1} \\" in table.latex()


def test_a_deviation_is_written_for_several_values_alone():
    assert plus_minus(12.34, 0.56, several=True) == "12.3 ± 0.6"
    assert plus_minus(1234.0, 0.0, several=False, decimals=0) == "1,234"
    assert plus_minus(float("nan"), 0.0, several=True) == "–"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("<img src=x>", "&lt;img src=x>"),
        ("</td><!-- x", "&lt;/td>&lt;!-- x"),
        ("a\r\n# b", "a  # b"),
        ("[a](javascript:x)", r"[a]\(javascript:x)"),
        ("p < 0.05 | er_ace: 1 <= 2", "p < 0.05 | er_ace: 1 <= 2"),
    ],
)
def test_a_name_is_no_html_and_no_link_in_markdown(name, written):
    assert markdown_text(name) == written
    table = Table(name, ["x"], [[name]], pd.DataFrame({"x": [name]}))
    assert table.markdown().endswith(f"\n\n{written}\n")
    assert written.replace("|", r"\|") in table.markdown().splitlines()[2]
