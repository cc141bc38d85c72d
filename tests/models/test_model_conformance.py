"""Rules for every registered model, on tokens and on pixels."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from helpers.colour_stream import colours, run
from helpers.generators import generator
from seit_cl.core import plugins
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.strategy_state import state_bytes
from seit_cl.models import Model, ModelContext, canonical_model, hand_over

CLASSES = 5
CONTEXTS = {
    "tokens": ModelContext("tokens", 6, 8),
    "pixels": ModelContext("pixels", 3, 32),
}
# Their runs are slow; those of micro are in the rules for strategies too.
SLOW = ("micro", "tiny", "resnet18_cifar", "timm:test_vit,img_size=8,patch_size=1")
TOO_LARGE = ("small", "base")  # to train here; they differ from tiny in width alone


def handed_over(context: ModelContext, classes: int) -> nn.Module:
    """A network as a script has it."""
    conv = nn.Conv2d(context.channels, 32, 4, stride=4)
    parts = (conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, classes))
    return nn.Sequential(*parts)


# Specs of models whose name alone is none.
SPECS = {"timm": "timm:test_vit,img_size=8,patch_size=1", "python": hand_over(handed_over)}
MODELS = [SPECS.get(name, name) for name in sorted(plugins.names("model"))]


def slow_if(specs: list[str], slow: tuple[str, ...]) -> Any:
    """Models, some of them marked slow."""
    marked = [pytest.param(spec, marks=pytest.mark.slow if spec in slow else ()) for spec in specs]
    return pytest.mark.parametrize("spec", marked)


each_model = slow_if(MODELS, TOO_LARGE)
TRAINED = [spec for spec in MODELS if spec not in TOO_LARGE]
each_trained_model = slow_if(TRAINED, SLOW)
# slim_resnet18 learns them in test_models_command.py too.
each_model_that_learns = slow_if(TRAINED, (*SLOW, "slim_resnet18"))
each_context = pytest.mark.parametrize("modality", sorted(CONTEXTS))


def model_of(spec: str, modality: str) -> Model:
    model: Model = plugins.build("model", spec, CONTEXTS[modality])
    return model


def network_of(spec: str, modality: str, seed: int = 0) -> Any:
    return model_of(spec, modality).new_network(CLASSES, generator(seed))


def inputs_of(model: Model, modality: str, batch: int = 3) -> torch.Tensor:
    shape = (batch, CONTEXTS[modality].channels, model.crop, model.crop)
    return torch.randn(shape, generator=generator(9))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """Colours at 64 px: token grids of 8 x 8."""
    return colours(tmp_path_factory.mktemp("data") / "colours", resolution=64)


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """Colours at 32 px."""
    return colours(tmp_path_factory.mktemp("data") / "small")


@each_context
@each_model
def test_logits_are_the_head_of_the_features(spec: str, modality: str) -> None:
    network = network_of(spec, modality).eval()
    inputs = inputs_of(model_of(spec, modality), modality)
    torch.nn.init.normal_(network.head.weight, generator=generator(1))
    features = network.features(inputs)
    assert network.head.weight.shape == (CLASSES, features.shape[1])
    assert features.shape == (3, features.shape[1])
    logits = network(inputs)
    assert logits.shape == (3, CLASSES)
    assert torch.allclose(logits, network.head(features), atol=1e-5)
    bias = getattr(network.head, "bias", None)
    by_hand = features @ network.head.weight.T + (0 if bias is None else bias)
    assert torch.allclose(logits, by_hand, atol=1e-5)


@each_context
@each_model
def test_weights_come_from_the_generator_alone(spec: str, modality: str) -> None:
    first = network_of(spec, modality).state_dict()
    torch.manual_seed(5)  # whatever the global generator holds
    state = torch.random.get_rng_state()
    second = network_of(spec, modality).state_dict()
    other = network_of(spec, modality, seed=1).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@each_context
@each_model
def test_a_batch_of_one_sample_trains(spec: str, modality: str) -> None:
    network = network_of(spec, modality).train()
    loss = network(inputs_of(model_of(spec, modality), modality, batch=1)).logsumexp(1).sum()
    loss.backward()
    assert all(bool(torch.isfinite(weight).all()) for weight in network.state_dict().values())


@each_model
def test_a_models_spec_is_canonical_and_names_its_source(spec: str) -> None:
    canonical = canonical_model(spec.replace("_", "-", 1))
    assert canonical_model(canonical) == canonical
    plugin = plugins.load("model", canonical.partition(":")[0])
    assert plugin.source
    assert plugin.__doc__


@pytest.mark.parametrize("modality", ["pixels", pytest.param("tokens", marks=pytest.mark.slow)])
@each_model_that_learns
def test_it_learns_colours_and_its_bytes_are_counted(
    data: RunData, small_data: RunData, tmp_path: Path, spec: str, modality: str
) -> None:
    # Running statistics take some thirty steps.
    options: dict[str, Any] = {"epochs": 12, "learning_rate": 1e-3, "cutmix_p": 0.0, "model": spec}
    if modality == "tokens":
        ended = run(data, tmp_path / "run", resolution=64, **options)
    else:
        options |= {"learner": "pixels", "format": "raw", "memory_mb": 0.1}
        ended = run(small_data, tmp_path / "run", **options)
    first = ended.run.accuracy.query("after_experience == 0")
    assert first.correct.sum() / first.total.sum() > 0.7
    assert ended.row["final_accuracy"] >= 0.5
    assert ended.run.get("model") == canonical_model(spec)
    assert ended.row["model_bytes"] == state_bytes(dict(ended.network.state_dict()))


@each_trained_model
def test_an_interrupted_run_ends_with_the_numbers_of_one_that_was_not(
    data: RunData, tmp_path: Path, spec: str
) -> None:
    options: dict[str, Any] = {"model": spec, "resolution": 64, "strategy": "icarl"}
    whole = run(data, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "run", stop_at=(1, 2), **options)
    resumed = run(data, tmp_path / "run", **options)
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    for name in ("accuracy.csv", "memory.bin"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
