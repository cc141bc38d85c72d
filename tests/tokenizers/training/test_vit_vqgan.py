"""The trainer with a ViT-VQGAN: learning, averaged codes, resuming, and its file."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from helpers.tokenizer_samples import images
from helpers.training_clock import count_minutes_as_steps
from seit_cl.core.errors import UserError
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._vit_vqgan_tokenizer import of_model
from seit_cl.tokenizers.nets.vit_vqgan import ViTVQGAN, sincos_positions
from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.codebook import DECAY, CodebookAverages
from seit_cl.tokenizers.training.trainer import Trainer, TrainingProgress, TrainingSettings

LABELS = torch.arange(16) % 3
BLOCKS = (64, 1, 1, 96)


@pytest.fixture(autouse=True)
def minutes_are_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    count_minutes_as_steps(monkeypatch)


def model() -> ViTVQGAN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ViTVQGAN(4, 8, 33, 8, BLOCKS, BLOCKS)


def trainer(steps: int, supervision: float = 0.03, crop: int = 32) -> Trainer:
    chosen = TrainingSettings(
        steps, batch=8, crop=crop, supervision=supervision, learning_rate=1e-3
    )
    return Trainer(model(), images(16, 32), LABELS, chosen)


def test_the_loss_falls_and_the_picture_clears() -> None:
    reports: list[TrainingProgress] = []
    trainer(151, supervision=0, crop=16).run(reports.append)
    assert reports[-1].loss < 0.8 * reports[0].loss
    assert reports[-1].psnr > reports[0].psnr + 3
    assert 0 < reports[-1].codes_alive <= 33


def test_training_moves_everything_but_the_positions() -> None:
    made = trainer(3)
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    made.run()
    after = made.model.state_dict()
    unchanged = [name for name in before if torch.equal(before[name], after[name])]
    assert unchanged == ["encoder.en_pos_embedding", "decoder.de_pos_embedding"]
    assert torch.equal(after["encoder.en_pos_embedding"], sincos_positions(4, 4, 64))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), codes=st.integers(2, 12))
def test_a_code_moves_toward_the_mean_of_its_own_latents(seed: int, codes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    made = ViTVQGAN(2, 8, codes, 4, BLOCKS, BLOCKS)
    before = made.codebook.clone()
    latents = F.normalize(torch.randn(3, 4, 2, 2, generator=generator), dim=1)
    indices = made.nearest(latents)
    CodebookAverages(made.codebook, made.signs, generator).update(latents, indices, step=1)
    flat = latents.permute(0, 2, 3, 1).reshape(-1, 4)
    taken = indices.flatten()
    for code in range(codes):
        expected = DECAY * before[code] + (1 - DECAY) * flat[taken == code].sum(0)
        torch.testing.assert_close(
            made.codebook[code], expected / expected.norm(), rtol=1e-4, atol=1e-5
        )


def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    path = tmp_path / "x.training"
    stops = iter([False] * 4 + [True])

    class Interrupted(Trainer):
        def train_step(self) -> tuple[torch.Tensor, torch.Tensor]:
            if next(stops, False):
                raise KeyboardInterrupt
            return super().train_step()

    whole = trainer(8)
    whole.run()
    cut = Interrupted(model(), images(16, 32), LABELS, whole.settings)
    with pytest.raises(KeyboardInterrupt):
        cut.run(checkpoint=path)
    resumed = trainer(8)
    resumed.run(checkpoint=path)
    assert (cut.step, resumed.step) == (4, 8)
    assert isinstance(resumed.model, ViTVQGAN)
    assert isinstance(whole.model, ViTVQGAN)
    assert of_model(resumed.model).identity == of_model(whole.model).identity


def test_a_checkpoint_of_the_other_architecture_is_refused(tmp_path: Path) -> None:
    trainer(2).save(tmp_path / "x.training")
    other = VQAutoencoder(codes=32, dim=8, width=16, depth=1)
    with pytest.raises(UserError, match="other options"):
        Trainer(other, images(16, 32), LABELS, trainer(2).settings).load(tmp_path / "x.training")


def test_the_tokenizer_of_a_trained_model_is_stored_in_half_precision_and_comes_back(
    tmp_path: Path,
) -> None:
    made = trainer(5)
    made.run()
    assert isinstance(made.model, ViTVQGAN)
    tokenizer = of_model(made.model)
    batch = images(4, 32)
    tokenizer.card = {"note": "small"}
    tokenizer.save(tmp_path / "vit.safetensors")
    opened = open_tokenizer(str(tmp_path / "vit.safetensors"))
    assert torch.equal(opened.encode(batch), tokenizer.encode(batch))
    assert opened.card == {"note": "small"}
    assert torch.equal(opened.codebook, tokenizer.codebook)
    assert opened.identity == tokenizer.identity
    numbers = {name: tensor.numel() for name, tensor in made.model.state_dict().items()}
    full_precision = 0
    for name, size in numbers.items():
        if "pos_embedding" in name or "quantizer" in name:
            full_precision += size
    assert tokenizer.codec_bytes == 2 * sum(numbers.values()) + 2 * full_precision


def test_the_losses_compile_and_stay_what_they_are() -> None:
    made = trainer(1)
    batch = made.draw_batch()
    compiled = torch.compile(made.compute_loss, backend="aot_eager")
    for ours, theirs in zip(made.compute_loss(*batch), compiled(*batch), strict=True):
        torch.testing.assert_close(ours, theirs)
