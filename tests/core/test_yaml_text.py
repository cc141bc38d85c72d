"""Errors of YAML files."""

from pathlib import Path

import pytest

from seit_cl.command_line import yaml_arguments
from seit_cl.core.errors import UserError


def test_a_broken_yaml_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("epochs: 3\nformat: [tokens, jpeg\nseed: 1\n")
    with pytest.raises(UserError, match="line 3, column"):
        yaml_arguments(path)
