"""The models of docs/your-own.md: the file keeps the rules, and the function is handed over."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from helpers.generators import generator
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.models import ModelContext, build_model, canonical_model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "your-own.md"
CONTEXT = ModelContext("pixels", 3, 16)


def blocks() -> list[str]:
    """The Python of the section on models."""
    section = PAGE.read_text().partition("## A model")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)


def executed(code: str) -> Any:
    module = ModuleType("own")
    exec(code, module.__dict__)
    return module


def test_the_function_is_handed_over_under_its_name() -> None:
    module = executed(blocks()[0])
    assert module.spec == "python:my_network"
    network = plugins.build("model", module.spec, CONTEXT).new_network(4, generator())
    assert network.head.weight.shape == (4, 64)


def test_a_class_in_a_module_of_ones_own_is_a_model_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_networks.py").write_text(blocks()[1])
    monkeypatch.syspath_prepend(tmp_path)
    spec = "my_networks.MLP:width=100"
    assert canonical_model(spec) == spec
    network: Any = build_model(spec, CONTEXT).new_network(4, generator())
    assert network.head.weight.shape == (4, 100)
    with pytest.raises(UserError, match=r"module.Class of a class"):
        canonical_model("my_networks.Absent")


def test_the_file_is_a_model() -> None:
    module = executed(blocks()[1])
    model = module.MODEL.build(module.MODEL.Options(width=7), CONTEXT)
    network = model.new_network(4, generator()).eval()
    inputs = torch.randn(2, 3, model.crop, model.crop)
    assert isinstance(network, nn.Module)
    assert torch.equal(network(inputs), network.head(network.features(inputs)))
    again = model.new_network(4, generator())
    assert torch.equal(again.hidden.weight, network.hidden.weight)
