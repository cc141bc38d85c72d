"""The seconds that commands take to start, in this checkout."""

from pathlib import Path

import pytest

from benchmarks import startup
from seit_cl.core.errors import UserError

ROOT = Path(startup.__file__).parents[1]


def test_a_command_of_a_checkout_is_timed() -> None:
    assert 0 < startup.seconds(ROOT, "seit_cl.report --help") < 60


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a checkout"):
        startup.seconds(tmp_path, "seit_cl.run --help")
