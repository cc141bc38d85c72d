"""The ablation: training of every variant, its mirror codes, and the split of the classes."""

import os
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from helpers.generators import generator
from seit_cl.core.errors import UserError
from seit_cl.data.fractals import write_fractals
from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.trainer import Trainer, TrainingSettings
from studies.ablation import study, variants
from studies.ablation.models import FSQ, Product
from studies.ablation.variants import VARIANTS, Contrastive, CutMixed, Rotated, Variant

LABELS = torch.arange(16) % 3


@pytest.fixture(autouse=True)
def short_teachers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "TEACHER_STEPS", 2)


def pictures() -> Tensor:
    return torch.randint(256, (16, 3, 32, 32), generator=generator(), dtype=torch.uint8)


def trainer(variant: Variant) -> Trainer:
    """A variant's training of a narrow autoencoder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = variant.model(**{**variant.options, "width": 16})
    settings = {**variant.settings, "batch": 8, "crop": 32}
    return variant.trainer(model, pictures(), LABELS, TrainingSettings(1, **settings))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_moves_its_encoder(name: str) -> None:
    made = trainer(VARIANTS[name])
    before = {name: parameter.clone() for name, parameter in made.model.encoder.named_parameters()}
    for _ in range(2):  # layers behind a norm that starts at zero move from the second step on
        made.set_learning_rate(0.5)
        loss, error = made.train_step()
        assert torch.isfinite(loss)
        assert error > 0
    for key, parameter in made.model.encoder.named_parameters():
        # A shift of the keys does not change their softmax, so this bias has no gradient.
        if not key.endswith("qkv.1.norm.bias"):
            assert not torch.equal(before[key], parameter), key


@pytest.mark.parametrize("name", VARIANTS)
def test_the_mirror_image_has_partner_codes_whatever_the_variant(name: str) -> None:
    made = trainer(VARIANTS[name])
    for _ in range(2):
        made.train_step()  # codebooks that are learnt stay in pairs
    model = made.model.eval()
    half = len(model.codebook) // 2
    assert torch.equal(model.codebook[half:], model.codebook[:half] * model.signs)
    images = pictures().float() / 127.5 - 1
    with torch.no_grad():
        latents = model.latents(images)
        mirrored = model.latents(images.flip(-1))
        expected = latents.flip(-1) * model.signs[:, None, None]
        torch.testing.assert_close(mirrored, expected, atol=1e-5, rtol=1e-4)
        partner = (model.nearest(latents) + half) % len(model.codebook)
        assert (model.nearest(mirrored) == partner.flip(-1)).float().mean() > 0.98


def test_fsq_rounds_to_the_nearest_code() -> None:
    model = FSQ(width=16)
    codes = model.codebook.T[None, :, :, None]
    every = torch.arange(len(model.codebook))
    assert torch.equal(model.nearest(codes).flatten(), every)
    assert torch.equal(model.nearest(codes * 0.8 + 0.01).flatten(), every)


def test_product_codes_are_made_of_the_codes_of_both_halves() -> None:
    model = Product(width=16)
    every = torch.arange(1024)
    for half, place, codes in zip(model.halves, model.place, model.split(every), strict=True):
        torch.testing.assert_close(model.codebook[:, place] * 2**0.5, half.codebook[codes])
    first, second = model.split(every)
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 1024
    latents = model.project(torch.randn(2, 32, 4, 4))
    assert torch.allclose(latents.norm(dim=1), torch.ones(2, 4, 4))
    assert torch.equal(model.nearest(model.codebook.T[None, :, :, None]).flatten(), every)


def test_the_rotation_gives_the_codes_and_keeps_the_length_of_gradients() -> None:
    made = trainer(VARIANTS["rotation"])
    assert isinstance(made, Rotated)
    latents = F.normalize(torch.randn(2, 8, 3, 3, generator=generator(1)), dim=1)
    codes = F.normalize(torch.randn(2, 8, 3, 3, generator=generator(2)), dim=1)
    latents.requires_grad_()
    turned = made.straight_through(latents, codes)
    torch.testing.assert_close(turned, codes)
    gradient = torch.randn(turned.shape, generator=generator(3))
    turned.backward(gradient)
    assert latents.grad is not None
    torch.testing.assert_close(latents.grad.norm(dim=1), gradient.norm(dim=1))


def test_contrastive_batches_hold_every_image_twice() -> None:
    made = trainer(VARIANTS["contrastive"])
    assert isinstance(made, Contrastive)
    first, second = made.draw_indices().chunk(2)
    assert torch.equal(first, second)
    assert len(first) == 4


def test_cutmix_shares_follow_the_pixels() -> None:
    made = trainer(VARIANTS["cutmix"])
    assert isinstance(made, CutMixed)
    levels = (torch.arange(16) * 16).to(torch.uint8)
    made.images = levels[:, None, None, None].expand(16, 3, 32, 32).contiguous()  # of one grey each
    shares = set()
    for _ in range(30):
        pictures, labels = made.draw_batch()
        greys = ((pictures + 1) * 127.5).round()
        areas = []
        for image in greys:
            commonest = image.flatten().mode().values
            areas.append((image == commonest).float().mean())
        # The area is 1 where an image is mixed with one of the same grey.
        largest_share = torch.tensor(max(made.share, 1 - made.share))
        torch.testing.assert_close(torch.stack(areas).min(), largest_share)
        assert torch.equal(made.other_labels, labels.roll(1)) or made.share == 1
        shares.add(round(made.share, 3))
    assert 1.0 in shares
    assert len(shares) > 3


def test_fixed_codebooks_stay_and_products_follow_their_halves() -> None:
    fixed = trainer(VARIANTS["fsq"])
    product = trainer(VARIANTS["product"])
    before = [made.model.codebook.clone() for made in (fixed, product)]
    for made in (fixed, product):
        made.train_step()
    assert torch.equal(fixed.model.codebook, before[0])
    assert not torch.equal(product.model.codebook, before[1])
    assert torch.allclose(product.model.codebook.norm(dim=1), torch.ones(1024), atol=1e-5)


def test_feature_reconstruction_leaves_the_statistics_of_the_encoder_to_real_images() -> None:
    made = trainer(VARIANTS["features"])
    plain = trainer(VARIANTS["recipe"])
    batch = made.draw_batch()
    losses = [training.compute_loss(*batch)[0] for training in (made, plain)]
    assert losses[0] > losses[1]
    for ours, theirs in zip(
        made.model.encoder.buffers(), plain.model.encoder.buffers(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_cutmix_weighs_both_classes_by_their_area() -> None:
    made = trainer(VARIANTS["cutmix"])
    assert isinstance(made, CutMixed)
    made.share = 0.25
    made.other_labels = torch.full((4,), 1)
    codes = torch.randn(4, 32, 4, 4)
    labels = torch.full((4,), 0)
    made.head.eval()
    apart = [Trainer.class_loss(made, codes, torch.full((4,), label)) for label in (0, 1)]
    torch.testing.assert_close(made.class_loss(codes, labels), 0.25 * apart[0] + 0.75 * apart[1])


def test_classes_that_judge_are_not_trained_on(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for part, images in (("train", 300), ("val", 20)):
        for name in "abcdef":
            (root / part / name).mkdir(parents=True)
            for number in range(images):
                (root / part / name / f"{part}{number}.png").touch()
    learn, judge = study.split(root, tmp_path / "split")
    assert sorted(os.listdir(learn / "train")) == list("abcdf")
    assert os.listdir(judge / "train") == ["e"]
    train = {file.resolve() for file in (judge / "train" / "e").iterdir()}
    val = {file.resolve() for file in (judge / "val" / "e").iterdir()}
    assert len(train) == 200
    assert len(val) == 120
    assert not train & val
    assert len(os.listdir(learn / "train" / "a")) == 300


def test_rows_are_made_once_for_the_same_options_and_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_fractals(tmp_path / "fractals", 5, 12, 4, 64)
    out = tmp_path / "x.csv"
    monkeypatch.setattr(study, "FRACTALS", 4)
    monkeypatch.setattr(study, "LEARNT_FROM", 8)
    typed = [
        "ablation",
        "--data-root",
        str(root),
        "--out",
        str(out),
        "--minutes",
        "0.001",
        "--seed",
        "0",
    ]
    for epochs, rows in (("1", 2), ("1", 0), ("2", 2)):
        monkeypatch.setattr(
            sys, "argv", [*typed, "--epochs", epochs, "--variants", "pixels", "recipe"]
        )
        study.main()
        output = capsys.readouterr().out
        assert output.count("{'variant'") == rows
        assert "| no tokenizer: pixels |" in output
        assert sum(line.startswith("| ") for line in output.splitlines()) == 4
    rows_written = pd.read_csv(out)
    assert rows_written["variant"].tolist() == ["pixels", "recipe"] * 2
    assert rows_written["final"].between(0, 1).all()


def test_a_variant_that_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys,
        "argv",
        ["ablation", "--data-root", ".", "--out", str(tmp_path / "x.csv"), "--variants", "nope"],
    )
    with pytest.raises(
        UserError, match="--variants nope: no such variant; there are pixels, recipe"
    ):
        study.main()


def test_the_recipe_is_the_package_s() -> None:
    assert VARIANTS["recipe"] == Variant(
        VARIANTS["recipe"].description, {}, {}, VQAutoencoder, Trainer
    )
