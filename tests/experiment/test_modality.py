"""Modalities: token and pixel learners see the same samples, each in its own way."""

from pathlib import Path

import pytest
import torch

from helpers.generators import generator
from helpers.numbers import drawn
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.build import choose_model, format_context
from seit_cl.experiment.modality import MODALITIES, build_modality
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import build_format

IDS = torch.tensor([3, 0, 77, 3])


@pytest.fixture
def data(fractals: Path) -> RunData:
    return RunData(RunConfig(data_root=fractals))


def test_a_token_learner_sees_tokens_and_a_pixel_learner_images(data: RunData) -> None:
    tokens = build_modality("tokens", data)
    pixels = build_modality("pixels", data)
    assert torch.equal(tokens.train_inputs(IDS), data.tokens(IDS))
    assert torch.equal(pixels.train_inputs(IDS), data.pixels(IDS))
    assert pixels.train_inputs(IDS).shape == (4, 3, 64, 64)
    assert pixels.train_inputs(IDS).dtype == torch.uint8
    assert torch.equal(tokens.test_inputs(), data.test_tokens)
    assert torch.equal(pixels.test_inputs(), data.test_pixels)


@pytest.mark.parametrize("learner", sorted(MODALITIES))
def test_augmented_inputs_have_the_side_and_channels_of_the_model(
    data: RunData, learner: str
) -> None:
    modality = build_modality(learner, data)
    crop = choose_model(RunConfig(learner=learner), data).crop
    augment = modality.augment(RunConfig(), crop)
    raw = modality.train_inputs(IDS)
    inputs = augment(raw, drawn(augment, raw, generator()))
    assert inputs.shape == (4, modality.model_context.channels, crop, crop)


def test_a_token_learner_tokenizes_stored_images_again(data: RunData) -> None:
    modality = build_modality("tokens", data)
    context = format_context(data, 4)
    transform = modality.transform_of(build_format("raw", context))
    assert transform is not None
    assert torch.equal(transform(data.pixels(IDS)), data.tokens(IDS))
    assert modality.transform_of(build_format("tokens", context)) is None


def test_a_pixel_learner_refuses_stored_tokens(data: RunData) -> None:
    modality = build_modality("pixels", data)
    context = format_context(data, 4)
    modality.check_format(build_format("raw", context))
    with pytest.raises(UserError, match="cannot learn from 'tokens' exemplars"):
        modality.check_format(build_format("tokens", context))
