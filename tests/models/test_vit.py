"""The learners' networks: shapes, sizes, initialisation."""

import pytest
import timm
import torch

from helpers.generators import generator
from seit_cl.core import plugins
from seit_cl.models import ModelContext
from seit_cl.models._vit import SIZES, build_vit, initialise, pixel_stem, token_stem


@pytest.mark.parametrize("grid", [4, 8, 16, 32])
def test_the_token_stem_takes_its_crop_of_any_grid(grid: int) -> None:
    stem = token_stem(grid)
    model = build_vit("micro", stem, 32, 5)
    assert model(torch.zeros(2, 32, stem.crop, stem.crop)).shape == (2, 5)


def test_a_grid_of_32_is_seen_as_in_seit() -> None:
    stem = token_stem(32)
    assert (stem.crop, stem.kernel, stem.stride, stem.padding, stem.patches) == (28, 4, 2, 1, 14)


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_tokens_and_pixels_give_the_blocks_as_many_patches(resolution: int) -> None:
    assert token_stem(resolution // 8).patches == pixel_stem(resolution).patches


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_a_timm_model(size: str) -> None:
    model = timm.create_model(f"stem_adapter_vit_{size}", grid=8, num_classes=7)
    assert model.num_features == SIZES[size][0]


def test_initialisation_comes_from_the_generator_alone() -> None:
    def weights() -> torch.Tensor:
        model = build_vit("micro", token_stem(8), 32, 5)
        initialise(model, torch.Generator().manual_seed(4))
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(weights(), weights())


def test_a_sequence_has_a_position_for_each_token_and_no_neighbours() -> None:
    model = plugins.build("model", "micro", ModelContext("tokens", 6, 20, sequence=True))
    assert model.crop == 20
    network = model.new_network(3, generator(0)).eval()
    assert network.pos_embed.shape == (1, 20, 128)
    inputs = torch.randn(2, 6, 1, 20, generator=generator(1))
    embedded = network.patch_embed(inputs)
    inputs[:, :, :, 7] += 1
    changed = (network.patch_embed(inputs) != embedded).any(2).any(0)
    assert changed.nonzero().tolist() == [[7]]
    assert network.features(inputs).shape == (2, 128)
