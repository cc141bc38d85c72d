"""Training the autoencoder: learning, codes on the unit sphere, seeds and resuming."""

from pathlib import Path

import pytest
import torch

from helpers.tokenizer_samples import images
from helpers.training_clock import count_minutes_as_steps
from seit_cl.core.errors import UserError
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer
from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.class_head import UNLABELLED
from seit_cl.tokenizers.training.trainer import Trainer, TrainingProgress, TrainingSettings

LABELS = torch.arange(16) % 3


@pytest.fixture(autouse=True)
def minutes_are_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    count_minutes_as_steps(monkeypatch)


def trainer(steps: int, seed: int = 0, supervision: float = 0.03) -> Trainer:
    """A training of a small autoencoder over that many steps."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VQAutoencoder(codes=32, dim=8, width=16, depth=1)
    return Trainer(
        model,
        images(16, 32),
        LABELS,
        TrainingSettings(steps, batch=8, crop=32, seed=seed, supervision=supervision),
    )


def trained(steps: int, seed: int = 0, supervision: float = 0.03) -> VQAutoencoder:
    training = trainer(steps, seed, supervision)
    training.run()
    return training.model


def test_the_loss_falls_and_the_picture_clears() -> None:
    reports: list[TrainingProgress] = []
    trainer(151, supervision=0).run(reports.append)
    assert [r.step for r in reports] == [0, 50, 100, 150]
    assert reports[-1].loss < 0.8 * reports[0].loss
    assert reports[-1].psnr > reports[0].psnr
    assert 0 < reports[-1].codes_alive <= 32
    assert 0.9 < reports[-1].fraction < 1


def test_supervision_makes_the_codes_tell_the_training_classes_apart() -> None:
    colours = torch.tensor([[200, 30, 30], [30, 200, 30], [30, 30, 200]])[LABELS].to(torch.uint8)
    pictures = colours[:, :, None, None].expand(16, 3, 32, 32).contiguous()
    training = Trainer(
        trainer(1).model, pictures, LABELS, TrainingSettings(60, batch=8, crop=32, supervision=1.0)
    )
    training.run()
    with torch.no_grad():
        training.head.eval()
        training.model.eval()
        latents = training.model.latents(pictures.float() / 127.5 - 1)
        codes = training.model.embed(training.model.nearest(latents))
        assert (training.head(codes).argmax(1) == LABELS).float().mean() > 0.9


def test_codes_stay_on_the_unit_sphere_and_take_no_gradient() -> None:
    model = trained(5)
    assert torch.allclose(model.codebook.norm(dim=1), torch.ones(32), atol=1e-5)
    assert not model.codebook.requires_grad


def test_training_moves_encoder_decoder_and_codebook() -> None:
    before = {name: tensor.clone() for name, tensor in trainer(2).model.state_dict().items()}
    after = trained(2).state_dict()
    for name in before:
        assert not torch.equal(before[name], after[name]), name


def test_one_seed_gives_one_tokenizer_and_another_seed_another() -> None:
    first, again, other = (VQAETokenizer(trained(4, seed)).identity for seed in (1, 1, 2))
    assert first == again != other


def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    path = tmp_path / "x.training"
    stops = iter([False] * 7 + [True])

    class Interrupted(Trainer):
        def train_step(self) -> tuple[torch.Tensor, torch.Tensor]:
            if next(stops, False):
                raise KeyboardInterrupt
            return super().train_step()

    whole = trainer(12)
    whole.run()
    cut = Interrupted(trainer(12).model, images(16, 32), LABELS, whole.settings)
    with pytest.raises(KeyboardInterrupt):
        cut.run(checkpoint=path)
    resumed = trainer(12)
    resumed.run(checkpoint=path)
    assert (cut.step, resumed.step) == (7, 12)
    assert VQAETokenizer(resumed.model).identity == VQAETokenizer(whole.model).identity


@pytest.mark.parametrize("change", [{"supervision": 0.5}, {"seed": 3}])
def test_a_checkpoint_of_another_training_is_refused(
    change: dict[str, float], tmp_path: Path
) -> None:
    trainer(3).save(tmp_path / "x.training")
    with pytest.raises(UserError, match="other options"):
        trainer(3, **change).load(tmp_path / "x.training")  # type: ignore[arg-type]
    (tmp_path / "x.training").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        trainer(3).load(tmp_path / "x.training")


def test_training_uses_small_crops_and_whole_sizes_at_the_end() -> None:
    made = Trainer(
        trainer(1).model, images(16, 32), LABELS, TrainingSettings(100, batch=4, crop=16)
    )
    sides = []
    for seconds in (0, 84 * 60, 86 * 60):
        made.seconds = seconds
        sides.append(made.draw_batch()[0].shape[-1])
    assert sides == [16, 16, 32]


def test_unlabelled_images_are_reconstructed_but_not_classified() -> None:
    nothing = torch.full((16,), UNLABELLED)
    nothing[0] = 2  # the head needs a class
    made = Trainer(
        trainer(1).model,
        images(16, 32),
        nothing,
        TrainingSettings(1, batch=8, crop=32, supervision=1.0),
    )
    picture, _ = made.draw_batch()
    unlabelled = torch.full((8,), UNLABELLED)
    with torch.no_grad():
        supervised = made.compute_loss(picture, unlabelled)[0]
        assert torch.isfinite(supervised)
        labelled = made.compute_loss(picture, torch.full((8,), 2))[0]
    assert labelled > supervised


def test_the_losses_compile_whole_and_stay_what_they_are() -> None:
    made = trainer(1)
    batch = made.draw_batch()
    compiled = torch.compile(made.compute_loss, backend="aot_eager", fullgraph=True)
    for ours, theirs in zip(made.compute_loss(*batch), compiled(*batch), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_half_of_the_codes_are_the_mirror_images_of_the_others_after_training() -> None:
    model = trained(7)
    assert torch.equal(model.codebook[16:], model.codebook[:16] * model.signs)


def test_training_draws_from_its_own_generator() -> None:
    before = torch.get_rng_state()
    trained(3)
    assert torch.equal(torch.get_rng_state(), before)
