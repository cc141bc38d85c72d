"""--max-pixels in every command of tokenize that decodes images."""

import pytest

from seit_cl.tokenize import COMMANDS


@pytest.mark.parametrize("name", ["inspect", "show", "train", "prune", "fit", "entropy", "encode"])
def test_every_command_that_decodes_images_has_the_option(name: str) -> None:
    options, _, _ = COMMANDS[name]
    assert "max_pixels" in options.__dataclass_fields__
