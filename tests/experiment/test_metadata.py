"""Metadata of a run from its parts, without running one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seit_cl.config import RunConfig
from seit_cl.experiment.build import build_memory, build_strategy
from seit_cl.experiment.metadata import Phase, Training, environment, run_metadata
from seit_cl.experiment.run_data import RunData
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.results.names import METADATA_NAMES

CPU = torch.device("cpu")
TRAINING = Training(nn.Linear(3, 2), steps=40, seconds=1.26, strategy_bytes=12)
PHASES = {"train": Phase(1.0, 64), "remember": Phase(0.5, 0)}


def config_of(fractals: Path, learner: str = "tokens") -> RunConfig:
    spec = "tokens" if learner == "tokens" else "raw"
    options: dict[str, Any] = {"learner": learner, "format": spec, "memory_mb": 1}
    return RunConfig(data_root=fractals, **options)


def metadata_of(config: RunConfig, memory: ByteBudgetBuffer | None) -> dict[str, object]:
    data = RunData(config)
    return run_metadata(config, data, "class-incremental", memory, TRAINING, PHASES, CPU)


@pytest.mark.parametrize("learner", ["tokens", "pixels"])
@pytest.mark.parametrize("has_memory", [True, False])
def test_every_column_of_the_summary_has_a_value(
    fractals: Path, learner: str, has_memory: bool
) -> None:
    config = config_of(fractals, learner)
    memory = None
    if has_memory:
        memory = build_memory(config, RunData(config), build_strategy(config), 5)
    metadata = metadata_of(config, memory)
    assert set(METADATA_NAMES) <= set(metadata)
    assert metadata["model_bytes"] == 4 * (3 * 2 + 2)
    assert (metadata["steps"], metadata["strategy_bytes"]) == (40, 12)
    assert metadata["train_seconds"] == 1.3
    assert metadata["memory_bytes"] == (1_000_000 if has_memory else 0)


def test_the_tokenizer_counts_for_token_learners_alone(fractals: Path) -> None:
    tokens = metadata_of(config_of(fractals), None)
    pixels = metadata_of(config_of(fractals, "pixels"), None)
    assert tokens["codec_bytes"] == RunData(config_of(fractals)).tokenizer.codec_bytes
    assert tokens["tokenizer"]
    assert (pixels["codec_bytes"], pixels["tokenizer"]) == (0, "")


def test_phases_without_images_are_left_out(fractals: Path) -> None:
    phases = metadata_of(config_of(fractals, "pixels"), None)["phases"]
    threads = torch.get_num_threads()
    expected = {"seconds": 1.0, "images": 64, "cores": threads, "cpu_seconds": 0.0}
    assert phases == {"train": expected}


def test_the_environment_names_the_data_and_the_tokenizer_if_it_is_used(fractals: Path) -> None:
    for learner in ("tokens", "pixels"):
        config = config_of(fractals, learner)
        values = environment(config, RunData(config), CPU, "typed", ["a", "b"])
        assert values["command"] == "typed"
        assert values["classes"] == ["a", "b"]
        assert ("tokenizer_identity" in values) == (learner == "tokens")
