"""Masks hide equally many patches of every image, and nothing of them reaches the network."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.generators import generator
from seit_cl.models import ModelContext, build_model
from seit_cl.pretraining.masking import MaskedViT, draw_masks, hide, patchify

CONTEXTS = {
    "8 x 8 tokens": ModelContext("tokens", 4, 8),
    "13 x 13 tokens": ModelContext("tokens", 4, 13),
    "16 x 16 tokens": ModelContext("tokens", 4, 16),
    "sequence": ModelContext("tokens", 4, 12, sequence=True),
    "pixels": ModelContext("pixels", 3, 32),
}


def masked_vit(context: ModelContext) -> MaskedViT:
    network: Any = build_model("micro", context).new_network(1, generator())
    return MaskedViT(network, 5, generator(1)).eval()


@given(st.integers(1, 4), st.integers(2, 40), st.data())
def test_every_image_has_the_same_number_of_masked_patches(
    batch: int, patches: int, data: st.DataObject
) -> None:
    masked = data.draw(st.integers(1, patches - 1))
    masks = draw_masks(batch, patches, masked, generator(3))
    assert masks.shape == (batch, patches)
    assert masks.sum(1).tolist() == [masked] * batch


def test_patches_hold_the_values_of_their_places() -> None:
    values = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6)
    patches = patchify(values, (2, 3), 2).view(2, 2, 3, 2, 2, 3)
    assert torch.equal(patches[1, 1, 2, 0, 1], values[1, :, 2, 5])


@pytest.mark.parametrize("name", CONTEXTS)
def test_predictions_do_not_depend_on_what_is_masked(name: str) -> None:
    context = CONTEXTS[name]
    model = masked_vit(context)
    stem = model.stem
    inputs = torch.randn(2, context.channels, *stem.img_size, generator=generator(2))
    masks = draw_masks(2, stem.num_patches, stem.num_patches // 2, generator(3))
    shown = hide(inputs, masks, stem.grid_size, stem.patch_size[0])
    others = torch.where(shown == 0, torch.randn(inputs.shape, generator=generator(4)), inputs)
    with torch.no_grad():
        predicted = model(inputs, masks)
        assert predicted.shape == (int(masks.sum()), 5)
        assert torch.equal(model(others, masks), predicted)
        assert not torch.equal(model(inputs + 1, masks), predicted)
