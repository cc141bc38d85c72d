"""Networks of timm's: their input, and one line for what has no meaning."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.colour_stream import TRAIN, colours, run
from helpers.generators import generator
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.models import ModelContext, canonical_model

SMALL = ModelContext("pixels", 3, 32)
LARGE = ModelContext("pixels", 3, 256)
GRID = ModelContext("tokens", 8, 8)


def build(spec: str, context: ModelContext) -> Any:
    return plugins.build("model", spec, context)


@pytest.mark.parametrize(
    ("spec", "context", "crop"),
    [
        ("timm:resnet18", SMALL, 32),
        ("timm:resnet18", LARGE, 224),
        ("timm:vit_tiny_patch16_224", LARGE, 224),
        ("timm:test_vit,img_size=32", SMALL, 32),
        ("timm:test_vit,patch_size=2", GRID, 8),
        ("timm:test_vit,patch_size=1,img_size=7", GRID, 7),
    ],
)
def test_a_convolutional_network_sees_the_data_and_a_vit_its_own_size(
    spec: str, context: ModelContext, crop: int
) -> None:
    assert build(spec, context).crop == crop


@pytest.mark.parametrize(
    ("spec", "context", "message"),
    [
        ("timm:resnet81", SMALL, "timm has no such network; did you mean 'resnet18'"),
        ("timm", SMALL, "NAME is missing"),
        ("timm:resnet18", GRID, "strides make one position of 32 x 32.*a token grid of 8 x 8"),
        ("timm:test_vit", GRID, "one position of 16 x 16"),
        ("timm:test_vit", SMALL, r"takes inputs of 160 x 160 .*img_size=32"),
        ("timm:resnet18,colour=blue", SMALL, "timm refuses it .*colour"),
        ("timm:resnet18,num_classes=7", SMALL, "num_classes=...: the data give it"),
        ("timm:resnet18,weights=absent.pt", SMALL, "no such file of weights"),
    ],
)
def test_what_has_no_meaning_is_refused_in_a_line(
    spec: str, context: ModelContext, message: str
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        build(spec, context)
    assert "\n" not in str(refused.value)


def test_an_option_reaches_timm() -> None:
    network = build("timm:test_vit,img_size=32,patch_size=4", SMALL).new_network(3, generator())
    assert network.body.patch_embed.proj.kernel_size == (4, 4)
    assert "body.pos_embed" in network.no_weight_decay()
    text = canonical_model("timm:test_vit,patch-size=4,img_size=32")
    assert text == "timm:test_vit,img_size=32,patch_size=4"


def test_a_lone_sample_is_refused_where_batch_normalisation_has_one_position(
    tmp_path: Path,
) -> None:
    data = colours(tmp_path / "colours")
    options: dict[str, Any] = {"learner": "pixels", "strategy": "naive", "batch": TRAIN * 2 - 1}
    with pytest.raises(UserError, match=r"a step of one sample .*choose another --batch"):
        run(data, tmp_path / "run", model="timm:test_resnet", **options)


@settings(max_examples=8, deadline=None)
@given(side=st.integers(1, 33), channels=st.integers(1, 40))
def test_every_grid_is_taken_or_refused_in_a_line(side: int, channels: int) -> None:
    context = ModelContext("tokens", channels, side)
    for spec in ("timm:test_convnext", "slim_resnet18"):
        try:
            model = build(spec, context)
        except UserError as error:
            assert "\n" not in str(error)
            continue
        network = model.new_network(2, generator()).eval()
        assert network(torch.zeros(1, channels, side, side)).shape == (1, 2)
