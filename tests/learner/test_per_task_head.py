"""--head per-task: every sample is trained among the classes of its own experience."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from helpers.batches import rows_of
from helpers.colour_stream import OPTIONS, colours, run
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.experiment.build import build_strategy
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.batches import Batch
from seit_cl.learner.learner import Learner

NAMES = sorted(set(plugins.names("strategy")) - {"avalanche"})
BUILT = {name: build_strategy(RunConfig(strategy=name)) for name in NAMES}
WITH_PARTS = [name for name in NAMES if BUILT[name].per_task_heads]
EXPERIENCE = torch.tensor([0, 0, 1, 1, 1, 2])
COMPETITORS = EXPERIENCE[:, None] == EXPERIENCE
SEEN = 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_a_cross_entropy_over_the_classes_of_each_samples_experience(
    smoothing: float,
) -> None:
    strategy = build_strategy(RunConfig(strategy="er", label_smoothing=smoothing))
    generator = torch.Generator().manual_seed(0)
    parts = []
    for labels in ([2, 4, 3], [0, 1, 4, 2]):
        logits = torch.randn(len(labels), SEEN, generator=generator, requires_grad=True)
        inputs = torch.zeros(len(labels), 1, 1, 1)
        expected = torch.tensor(labels)
        parts.append(Batch(inputs, expected, rows_of(inputs, expected)).forwarded(logits))
    learner: Any = SimpleNamespace(competitors=COMPETITORS)
    fresh, replay = Learner._among_own_classes(learner, (parts[0], parts[1]))
    assert replay is not None
    loss = strategy.loss(fresh, replay, learner)
    losses = []
    for batch in (fresh, replay):
        for logits, label in zip(batch.logits, batch.labels.tolist(), strict=True):
            own = [c for c in range(SEEN) if EXPERIENCE[c] == EXPERIENCE[label]]
            target = torch.tensor([own.index(label)])
            losses.append(F.cross_entropy(logits[None, own], target, label_smoothing=smoothing))
    torch.testing.assert_close(loss, torch.stack(losses).mean())
    loss.backward()
    for batch in (fresh, replay):
        gradient = batch.logits.grad
        assert gradient is not None
        assert ((gradient == 0) == ~COMPETITORS[batch.labels][:, :SEEN]).all()


@pytest.mark.parametrize("strategy", WITH_PARTS)
def test_a_run_learns_its_tasks(data: RunData, tmp_path: Path, strategy: str) -> None:
    ended = run(data, tmp_path / "run", strategy=strategy, head="per-task", cutmix_p=1.0)
    assert all(map(math.isfinite, ended.losses))
    assert ended.row["final_task_incremental_accuracy"] > 0.7
    assert ended.row["final_task_incremental_accuracy"] >= ended.row["final_accuracy"]


@pytest.mark.parametrize("strategy", [name for name in NAMES if name not in WITH_PARTS])
def test_a_strategy_that_compares_classes_of_several_experiences_is_refused(
    data: RunData, tmp_path: Path, strategy: str
) -> None:
    options: dict[str, Any] = {**OPTIONS, "data_root": data.dataset.root, "strategy": strategy}
    with pytest.raises(UserError, match=f"--head per-task: --strategy {strategy} "):
        Experiment(RunConfig(**options, head="per-task"), data, tmp_path / "run")


def test_a_stream_whose_experiences_share_classes_is_refused(data: RunData, tmp_path: Path) -> None:
    options: dict[str, Any] = {**OPTIONS, "data_root": data.dataset.root, "epochs": 1}
    config = RunConfig(**options, head="per-task", scenario="online:size=6")
    with pytest.raises(UserError, match="share classes"):
        Experiment(config, data, tmp_path / "run")
