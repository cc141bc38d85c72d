"""SeiT's size on a few images: 256 px, 32 x 32 token grids, 28 x 28 crops, 4 x 4 stem."""

from pathlib import Path

import pytest
import torch

from seit_cl.config import RunConfig
from seit_cl.data.fractals import write_fractals
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.results.run_files import read_run


@pytest.mark.slow
def test_a_run_at_256_px_stores_1024_tokens_and_trains_vit_tiny_on_14_x_14_patches(
    tmp_path: Path,
) -> None:
    root = write_fractals(tmp_path / "fractals", 4, 6, 2, 256)
    config = RunConfig(
        data_root=root,
        experiences=2,
        epochs=1,
        batch=6,
        replay_batch=6,
        model="tiny",
        memory_mb=0.006,
        device="cpu",
    )
    data = RunData(config)
    assert data.resolution == 256
    assert data.grid == (1, 32, 32)
    experiment = Experiment(config, data, tmp_path / "run")
    model = experiment.learner.model
    assert model.embed_dim == 192
    assert model.pos_embed.shape == (1, 14 * 14, 192)
    inputs = experiment.learner.augment(data.tokens(torch.arange(2)))
    assert inputs.shape == (2, 32, 28, 28)
    experiment.run()
    run = read_run(tmp_path / "run")
    assert run.status == "finished"
    # An exemplar takes 1,280 bytes and a label, so that four fit in 6,000 bytes.
    assert run.metadata["exemplars"] == 4
    memory = ByteBudgetBuffer.load(tmp_path / "run" / "memory.bin")
    stored = memory.by_ids(torch.arange(4)).inputs
    originals = data.tokens(torch.arange(24))
    for grid in stored:
        assert bool((originals == grid).flatten(1).all(1).any())
