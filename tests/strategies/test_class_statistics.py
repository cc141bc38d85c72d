"""simplecil and ranpac: classifiers from sums over the samples of all experiences."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from helpers.colour_stream import colours, run
from helpers.generators import generator
from seit_cl.core import plugins
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData

ranpac = plugins.load("strategy", "ranpac")
module: Any = __import__(ranpac.__module__, fromlist=["solve"])
M = 40


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


def features_of(data: RunData, outcome: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and labels of all train samples, from the run's last network."""
    experiment = Experiment(outcome.config, data, outcome.folder / "again")
    experiment.learner.model.load_state_dict(outcome.network.state_dict())
    ids = torch.arange(len(data.dataset.train))
    raw = experiment.modality.train_inputs(ids)
    return experiment.learner.raw_features(raw), experiment.labels


def test_simplecil_stores_the_sum_of_every_classs_features(data: RunData, tmp_path: Path) -> None:
    ended = run(data, tmp_path / "run", strategy="simplecil")
    features, labels = features_of(data, ended)
    expected = F.one_hot(labels).float().T @ features
    state: Any = ended.strategy
    assert torch.allclose(state.sums, expected, rtol=1e-4, atol=1e-4)
    assert ended.row["strategy_bytes"] == state.sums.nbytes == 4 * 4 * 128
    assert ended.row["steps"] == 0


def test_ranpac_solves_the_ridge_regression_of_all_samples(data: RunData, tmp_path: Path) -> None:
    ended = run(data, tmp_path / "run", strategy=f"ranpac:dimensions={M}")
    features, labels = features_of(data, ended)
    state: Any = ended.strategy
    hidden = (features @ state.projection).relu()
    targets = F.one_hot(labels).float()
    assert torch.allclose(state.gram, hidden.T @ hidden, rtol=1e-3, atol=1e-3)
    assert torch.allclose(state.sums, hidden.T @ targets, rtol=1e-3, atol=1e-3)
    identity = state.ridge * torch.eye(M, dtype=torch.float64)
    normal = (state.gram.double() + identity) @ state.classifier.double()
    assert torch.allclose(normal, state.sums.double(), rtol=1e-3, atol=0.05)
    floats = 128 * M + M * M + 2 * M * 4  # projection, Gram matrix, sums and classifier
    assert ended.row["strategy_bytes"] == 4 * floats


def test_the_projection_is_the_seeds(data: RunData, tmp_path: Path) -> None:
    spec = f"ranpac:dimensions={M}"
    projections = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        state: Any = run(data, tmp_path / name, strategy=spec, seed=seed, epochs=1).strategy
        projections.append(state.projection)
    assert torch.equal(projections[0], projections[1])
    assert not torch.equal(projections[0], projections[2])


@settings(max_examples=25, deadline=None)
@given(
    samples=st.integers(0, 30), held_out=st.integers(0, 8), scale=st.sampled_from([1e-3, 1.0, 1e3])
)
def test_any_number_of_samples_gives_a_ridge_and_finite_weights(
    samples: int, held_out: int, scale: float
) -> None:
    parts = []
    for count in (samples, held_out):
        hidden = scale * torch.randn(count, 12, generator=generator(count)).relu()
        targets = F.one_hot(torch.arange(count) % 3, 3).float()
        part = module.Statistics(torch.zeros(12, 12), torch.zeros(12, 3))
        part.add(hidden, targets)
        parts.append(part)
    ridge = module.best_ridge(*parts, None)
    assert ridge > 0
    total = parts[0].gram + parts[1].gram
    weights = module.solve_safely(total, parts[0].sums + parts[1].sums, ridge)
    assert torch.isfinite(weights).all()


def test_simplecil_may_adapt_to_the_first_experience(data: RunData, tmp_path: Path) -> None:
    ended = run(data, tmp_path / "run", strategy="simplecil:adapt=true")
    assert ended.row["steps"] == len(ended.losses) == 3
