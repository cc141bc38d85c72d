"""Residual levels: each codes the residual of the earlier ones, which it leaves unchanged."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.tokenizer_samples import images, residual, untrained
from helpers.training_clock import count_minutes_as_steps
from seit_cl.tokenizers.nets.vqae import VQAutoencoder, first_levels, nearest_pair
from seit_cl.tokenizers.training.codebook import CodebookAverages
from seit_cl.tokenizers.training.trainer import Trainer, TrainingSettings

LABELS = torch.arange(16) % 3


def model(levels: int = 3, seed: int = 0) -> VQAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VQAutoencoder(codes=32, dim=8, width=16, depth=1, levels=levels)


def trainer(steps: int, start: str = "", levels: int = 3) -> Trainer:
    """A training over that many steps, where `minutes_are_steps`."""
    return Trainer(
        model(levels),
        images(16, 32),
        LABELS,
        TrainingSettings(steps, batch=8, crop=32, supervision=0.1, start=start),
    )


@pytest.fixture
def minutes_are_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    count_minutes_as_steps(monkeypatch)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(0.05, 3))
def test_each_level_takes_the_nearest_code_to_what_is_left(seed: int, scale: float) -> None:
    made = model(4)
    generator = torch.Generator().manual_seed(seed)
    latents = torch.nn.functional.normalize(torch.randn(2, 8, 3, 3, generator=generator), dim=1)
    detailed = latents + scale * torch.randn(2, 8, 3, 3, generator=generator)
    tokens = made.quantise(latents, detailed)
    assert torch.equal(tokens[:, 0], made.nearest(latents))
    left = detailed - made.embed(tokens[:, 0])
    for level in range(1, 4):
        distance = torch.cdist(left.permute(0, 2, 3, 1).reshape(-1, 8), made.residuals[level - 1])
        chosen = distance.gather(1, tokens[:, level].reshape(-1, 1))[:, 0]
        torch.testing.assert_close(chosen, distance.min(1).values, atol=1e-4, rtol=1e-4)
        left = left - made.embed_level(tokens[:, level], level)
    torch.testing.assert_close(detailed - made.embed_levels(tokens), left, atol=1e-5, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999))
def test_a_level_with_a_code_at_zero_never_adds_to_the_error(seed: int) -> None:
    made = model(4, seed)
    generator = torch.Generator().manual_seed(seed)
    made.residuals[:, 0] = made.residuals[:, 16] = 0
    latents = torch.nn.functional.normalize(torch.randn(2, 8, 4, 4, generator=generator), dim=1)
    detailed = latents + 0.3 * torch.randn(2, 8, 4, 4, generator=generator)
    tokens = made.quantise(latents, detailed)
    errors = []
    for levels in range(1, 5):
        restored = made.embed_levels(tokens[:, :levels])
        errors.append((detailed - restored).square().sum(1))
    assert bool((torch.stack(errors).diff(dim=0) <= 1e-5).all())


def test_the_first_levels_give_the_first_codes_and_nothing_else_is_kept() -> None:
    whole = residual(3)
    batch = images(4, 64)
    tokens = whole.encode(batch)
    for levels in (1, 2):
        part = whole.first(levels)
        assert torch.equal(part.encode(batch), tokens[:, :levels])
        assert torch.equal(part.codebook, whole.codebook[:levels])
        assert part.codec_bytes < whole.codec_bytes
        assert part.identity != whole.identity
        assert part.card["levels"] == f"the first {levels} of 3"
    assert whole.first(3) is whole
    for name in whole.first(1).model.state_dict():
        assert not name.startswith(("detail", "residuals"))


def test_a_model_of_one_level_has_no_parts_of_further_levels() -> None:
    made = model(1)
    assert made.config == {"codes": 32, "dim": 8, "width": 16, "depth": 1}
    assert not {"residuals"} & set(made.state_dict())
    assert not hasattr(made, "detail")
    latents = made.eval().latents(images(2, 32).float() / 127.5 - 1)
    assert torch.equal(made.quantise(latents, latents)[:, 0], nearest_pair(latents, made.codebook))
    parameters = zip(made.encoder.parameters(), model(3).encoder.parameters(), strict=True)
    for one_level, three_levels in parameters:
        assert torch.equal(one_level, three_levels)


def test_first_levels_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first_levels(model(3), 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_averages_of_a_residual_are_means_that_start_at_the_first_batch() -> None:
    points = torch.randn(4, 6, 8, 8, generator=torch.Generator().manual_seed(1))
    book = torch.zeros(20, 6)
    signs = torch.tensor([1.0, 1, 1, -1, -1, -1])
    averages = CodebookAverages(book, signs, torch.Generator().manual_seed(0), unit=False)
    errors = []
    for step in range(300):
        codes = nearest_pair(points, book, book.square().sum(1) / 2)
        errors.append(float((points - book[codes].permute(0, 3, 1, 2)).square().mean()))
        averages.update(points, codes, step)
    assert errors[-1] < 0.9 * errors[1] < errors[0]
    assert torch.equal(book[10:], book[:10] * signs)
    codes = nearest_pair(points, book, book.square().sum(1) / 2)
    flat = points.permute(0, 2, 3, 1).reshape(-1, 6)
    mirrored = torch.where(codes.reshape(-1, 1) < 10, flat, flat * signs)
    means = torch.stack([mirrored[codes.reshape(-1) % 10 == code].mean(0) for code in range(10)])
    torch.testing.assert_close(book[:10], means, atol=0.1, rtol=0.1)


@pytest.mark.usefixtures("minutes_are_steps")
def test_training_moves_every_level_and_further_ones_help() -> None:
    made = trainer(200)
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    made.run()
    for name, tensor in made.model.state_dict().items():
        assert not torch.equal(tensor, before[name]), name
    made.model.eval()
    batch = images(16, 32).float() / 127.5 - 1
    with torch.no_grad():
        latents = made.model.latents(batch)
        detailed = made.model.add_detail(batch, latents)
        tokens = made.model.quantise(latents, detailed)
        errors = []
        for levels in (1, 2, 3):
            restored = made.model.embed_levels(tokens[:, :levels])
            errors.append(float((detailed - restored).square().sum(1).mean()))
    assert errors[2] < errors[1] < errors[0]
    residuals = made.model.residuals
    assert torch.equal(residuals[:, 16:], residuals[:, :16] * made.model.signs)


@pytest.mark.usefixtures("minutes_are_steps")
def test_levels_that_are_added_leave_encoder_and_first_codes_as_they_were() -> None:
    made = trainer(4, start="0123456789abcdef")
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    made.run()
    after = made.model.state_dict()
    for name in before:
        is_old_part = name.startswith("encoder.") or name == "codebook"
        assert torch.equal(before[name], after[name]) == is_old_part, name


@pytest.mark.usefixtures("minutes_are_steps")
def test_an_interrupted_training_of_levels_goes_on_as_one_that_was_not(tmp_path: Path) -> None:
    whole = trainer(8)
    cut = trainer(8)
    resumed = trainer(8)
    for made in (whole, cut):
        for _ in range(3):
            made.train_step()
    cut.save(tmp_path / "x.training")
    resumed.load(tmp_path / "x.training")
    for made in (whole, resumed):
        for _ in range(3):
            made.train_step()
    resumed_weights = resumed.model.state_dict()
    assert list(resumed_weights) == list(whole.model.state_dict())
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(resumed_weights[name], weight), name


def test_an_image_is_given_back_from_as_many_levels_as_were_drawn() -> None:
    made = trainer(1)
    depths = torch.cat([made.draw_depths() for _ in range(40)])
    assert sorted(set(depths.flatten().tolist())) == [1, 2, 3]
    latents = torch.randn(3, 8, 2, 2)
    detailed = torch.randn(3, 8, 2, 2)
    indices = made.model.quantise(latents, detailed)
    codes, _ = made.coding.embed(
        latents, detailed, indices, torch.tensor([1, 2, 3]).view(3, 1, 1, 1)
    )
    for image in range(3):
        expected = made.model.embed_levels(indices[image : image + 1, : image + 1])
        torch.testing.assert_close(codes[image : image + 1], expected)
    assert trainer(1, levels=1).draw_depths() is None


def test_the_losses_of_levels_compile_whole() -> None:
    made = trainer(1)
    batch = (*made.draw_batch(), made.draw_depths())
    compiled = torch.compile(made.compute_loss, backend="aot_eager", fullgraph=True)
    for ours, theirs in zip(made.compute_loss(*batch), compiled(*batch), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_levels_have_partners_too() -> None:
    tokenizer = untrained(levels=4)
    assert tokenizer.mirror.shape == (4, 50)
    assert torch.equal(tokenizer.mirror[3], torch.arange(50).roll(25))
