"""A command that misses an optional package names the extra that installs it, before it works."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seit_cl import density
from seit_cl.command_line import parse
from seit_cl.core.errors import UserError
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.commands.entropy import entropy_command
from seit_cl.tokenizers.commands.options import Entropy


def track_with_wandb() -> None:
    parse(["--tracker", "wandb"])


def track_with_tensorboard() -> None:
    parse(["--tracker", "tensorboard"])


def measure_density() -> None:
    sys.argv = ["density", "--data-root", "images"]
    density.main()


def fit_entropy() -> None:
    entropy_command(Entropy(Path("images"), Path("entropy.safetensors")))


def fit_features() -> None:
    open_tokenizer("timm:resnet18,pretrained=no,km=2,images=10")


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("wandb", "wandb", track_with_wandb),
        ("tensorboard", "tensorboard", track_with_tensorboard),
        ("torchmetrics", "density", measure_density),
        ("faiss", "faiss", fit_entropy),
        ("faiss", "faiss", fit_features),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    package: str,
    extra: str,
    command: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(UserError) as refusal:
        command()
    assert package in str(refusal.value)
    assert str(refusal.value).endswith(f"pip install 'seit_cl[{extra}]'")
