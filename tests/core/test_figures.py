"""Texts of figures."""

import logging
import warnings

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seit_cl.core.figures import literal_text

NO_LETTER = "\ue123"  # of the private use area, which no font has


def draw(text: str) -> None:
    with literal_text():
        figure = Figure()
        figure.suptitle(text)
        FigureCanvasAgg(figure).draw()


def test_letters_that_no_font_has_are_one_note(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        for text in (NO_LETTER, NO_LETTER * 2):
            draw(text)
    (record,) = caplog.records
    assert "names have letters that no installed font has" in record.getMessage()


def test_other_warnings_stay() -> None:
    with pytest.warns(UserWarning, match="another"), literal_text():
        warnings.warn("another", stacklevel=1)
