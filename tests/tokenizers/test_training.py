"""Training the autoencoder: it learns, its codes stay on the sphere, and its seed decides."""

from itertools import count
from types import SimpleNamespace

import pytest
import torch
from tokenizer_samples import images

from seit_cl.tokenizers import training
from seit_cl.tokenizers.bundled import BundledTokenizer
from seit_cl.tokenizers.training import Progress, train
from seit_cl.tokenizers.vqae import VQAutoencoder


@pytest.fixture(autouse=True)
def _a_step_is_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is by wall clock; a clock that moves at every look makes `minutes` a number of steps."""
    clock = count(0, 60)
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: next(clock)))


def trained(steps: int, seed: int = 0) -> tuple[VQAutoencoder, list[Progress]]:
    """A small autoencoder after that many steps, and what training reported."""
    torch.manual_seed(0)
    reports: list[Progress] = []
    model = VQAutoencoder(codes=32, dim=8, width=16, depth=1)
    train(model, images(16, 32), steps + 1, batch=8, seed=seed, report=reports.append)
    return model, reports


def test_the_loss_falls_and_the_picture_clears() -> None:
    _, reports = trained(151)
    assert [r.step for r in reports] == [0, 50, 100, 150]
    assert reports[-1].loss < 0.8 * reports[0].loss and reports[-1].psnr > reports[0].psnr
    assert 0 < reports[-1].codes_alive <= 32 and 0.9 < reports[-1].fraction < 1


def test_codes_stay_on_the_unit_sphere_and_take_no_gradient() -> None:
    model, _ = trained(5)
    assert torch.allclose(model.codebook.norm(dim=1), torch.ones(32), atol=1e-5)
    assert not model.codebook.requires_grad


def test_training_moves_encoder_decoder_and_codebook() -> None:
    torch.manual_seed(0)
    before = VQAutoencoder(codes=32, dim=8, width=16, depth=1).state_dict()
    after = trained(2)[0].state_dict()
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_one_seed_gives_one_tokenizer_and_another_seed_another() -> None:
    first, again, other = (BundledTokenizer(trained(4, seed)[0]).identity for seed in (1, 1, 2))
    assert first == again != other


def test_training_draws_from_its_own_generator() -> None:
    model, before = VQAutoencoder(codes=8, dim=4, width=8, depth=0), torch.get_rng_state()
    train(model, images(4, 32), 3, batch=4)
    assert torch.equal(torch.get_rng_state(), before)
