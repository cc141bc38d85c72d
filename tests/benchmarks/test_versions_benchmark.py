"""The comparison of two checkouts, with this one as both."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import versions
from seit_cl.core.errors import UserError

ROOT = Path(versions.__file__).parents[1]


@pytest.mark.slow
def test_a_checkout_is_compared_with_itself() -> None:
    options = versions.Options(ROOT, ROOT, rounds=2, figures=("replay, tokens",))
    results = versions.measure(options)
    ratio = results["replay, tokens"].ratio
    assert 0.2 < ratio.median < 5
    assert "later over earlier" in versions.report(results, options, "typed")


def test_a_folder_without_benchmarks_and_an_unknown_figure_are_refused(tmp_path: Path) -> None:
    options = versions.Options(tmp_path, ROOT)
    with pytest.raises(UserError, match="not a checkout with benchmarks"):
        versions.measure(options)
    with pytest.raises(UserError, match="--figures speed: unknown"):
        versions.measure(replace(options, figures=("speed",)))
