"""Quantisers without a codebook: codes and vectors, groups, mirror images, and gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from seit_cl.tokenizers.nets.mirror import signs
from seit_cl.tokenizers.nets.scalar_autoencoder import ScalarAutoencoder
from seit_cl.tokenizers.nets.scalar_quantiser import MOST_CODES, ScalarQuantiser

SPECS = ("fsq:8,5,5,5", "fsq:3,2", "fsq:7,5,5,7,5,5,7,5,5", "bsq:10", "bsq:18")
some_spec = st.sampled_from(SPECS)


def latents_of(quantiser: ScalarQuantiser, seed: int, grid: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return quantiser.bound(2 * torch.randn(4, quantiser.dim, grid, grid, generator=generator))


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ("fsq:8,5,5,5", (1, 1000, 4)),
        ("fsq:8,5,5,8,5,5", (2, 200, 3)),
        ("bsq:12", (1, 4096, 12)),
        ("bsq:18", (2, 512, 9)),
        ("bsq:14", (2, 128, 7)),
    ],
)
def test_codes_are_divided_into_groups_of_few(spec: str, shape: tuple[int, int, int]) -> None:
    quantiser = ScalarQuantiser(spec)
    assert quantiser.codebooks.shape == shape
    assert quantiser.codes_each == shape[1] <= MOST_CODES


@pytest.mark.parametrize("spec", SPECS)
def test_the_codes_of_the_vectors_are_the_codes(spec: str) -> None:
    quantiser = ScalarQuantiser(spec)
    codes = torch.arange(quantiser.codes_each).expand(1, quantiser.groups, -1)[..., None]
    assert torch.equal(quantiser.codes(quantiser.vectors(codes)), codes)


@settings(max_examples=20, deadline=None)
@given(spec=some_spec, seed=st.integers(0, 999))
def test_vectors_are_rows_of_the_codebooks_and_the_nearest_ones(spec: str, seed: int) -> None:
    quantiser = ScalarQuantiser(spec)
    latents = latents_of(quantiser, seed)
    codes = quantiser.codes(latents)
    books = quantiser.codebooks
    rows = [books[group][codes[:, group]] for group in range(quantiser.groups)]
    vectors = quantiser.vectors(codes)
    assert torch.equal(torch.cat(rows, -1).permute(0, 3, 1, 2), vectors)
    parts = latents.permute(0, 2, 3, 1).unflatten(-1, (quantiser.groups, -1))
    for group, book in enumerate(books):
        distance = torch.cdist(parts[..., group, :].flatten(0, 2), book)
        chosen = distance.gather(1, codes[:, group].reshape(-1, 1))[:, 0]
        torch.testing.assert_close(chosen, distance.min(1).values, atol=2e-3, rtol=0)


@pytest.mark.parametrize("spec", SPECS)
def test_every_level_of_every_dimension_is_reached(spec: str) -> None:
    quantiser = ScalarQuantiser(spec)
    encoded = torch.linspace(-9, 9, 2001).expand(1, quantiser.dim, -1)[..., None]
    vectors = quantiser.vectors(quantiser.codes(quantiser.bound(encoded)))[0, :, :, 0]
    reached = [len(set(row.tolist())) for row in vectors]
    assert reached == quantiser.sizes.tolist()


def test_levels_are_symmetric_and_signs_lie_on_the_sphere() -> None:
    levels = ScalarQuantiser("fsq:4,3").codebooks[0]
    assert sorted(set(levels[:, 0].tolist())) == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert sorted(set(levels[:, 1].tolist())) == [-1, 0, 1]
    signs_of_bits = ScalarQuantiser("bsq:8").codebooks[0]
    assert torch.allclose(signs_of_bits.norm(dim=1), torch.ones(256))


@settings(max_examples=20, deadline=None)
@given(spec=some_spec, seed=st.integers(0, 999))
def test_latents_whose_odd_dimensions_change_sign_have_the_mirrored_codes(
    spec: str, seed: int
) -> None:
    quantiser = ScalarQuantiser(spec)
    latents = latents_of(quantiser, seed)
    sign = signs(quantiser.dim)
    # A latent in the middle of two levels has no mirrored code.
    grown = (latents + 1) / 2 * (quantiser.sizes[:, None, None] - 1)
    if spec.startswith("bsq"):
        grown = latents + 0.5
    clear = ((grown - grown.round()).abs() - 0.5).abs().amin(1) > 1e-3
    mirrored = quantiser.codes(latents * sign[:, None, None])
    codes = quantiser.codes(latents)
    expected = quantiser.mirror(sign)
    for group in range(quantiser.groups):
        found = expected[group][codes[:, group]]
        assert torch.equal(mirrored[:, group][clear], found[clear])


def test_zero_up_to_rounding_has_one_code() -> None:
    for spec in ("fsq:8,4", "bsq:8"):
        quantiser = ScalarQuantiser(spec)
        around = torch.tensor([-1e-6, 0.0, 1e-6]).expand(1, quantiser.dim, 3)[..., None]
        codes = quantiser.codes(around)
        assert torch.equal(codes, codes[:, :, :1].expand_as(codes))


@pytest.mark.parametrize("spec", ["fsq:8,5,5,5", "bsq:18"])
def test_the_encoder_gets_the_gradient_of_the_vectors(spec: str) -> None:
    model = ScalarAutoencoder(spec, width=8, depth=1).train()
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    latents = model.latents(images)
    vectors = model.embed_levels(model.quantise(latents, latents))
    assert not vectors.requires_grad
    passed = latents + (vectors - latents).detach()
    torch.testing.assert_close(passed, vectors)
    weights = torch.randn_like(passed)
    (gradient,) = torch.autograd.grad((passed * weights).sum(), latents, retain_graph=True)
    assert torch.equal(gradient, weights)
    F.mse_loss(model.reconstruct(passed), images).backward()
    assert float(model.encoder[0].weight.grad.abs().sum()) > 0


def test_the_penalty_of_bits_is_least_for_sure_and_balanced_ones() -> None:
    quantiser = ScalarQuantiser("bsq:8")
    codes = torch.arange(256).view(1, 1, 16, 16)
    at_codes = quantiser.vectors(codes)
    all_alike = at_codes[..., :1, :1].expand_as(at_codes)
    unsure = F.normalize(torch.eye(8).repeat(2, 4).view(1, 8, 8, 8), dim=1)
    least = quantiser.penalty(at_codes)
    assert -math.log(2) <= least < -0.5
    assert quantiser.penalty(all_alike) == pytest.approx(0, abs=1e-6)
    assert quantiser.penalty(unsure) > least
    assert ScalarQuantiser("fsq:4,4").penalty(at_codes) == 0
    certain = (torch.zeros(1, 8, 1, 1) + 100).requires_grad_()
    quantiser.penalty(certain).backward()
    assert bool(certain.grad.isfinite().all())


@pytest.mark.parametrize(
    "spec",
    [
        "fsq",
        "fsq:8",
        "fsq:8,1",
        "fsq:8,999",
        "fsq:8;5",
        "fsq:8,8,8,8,7",
        "fsq:8,5,5,5\n",
        "fsq:2" + 64 * ",2",
        "bsq:1",
        "bsq:99",
        "bsq:13",
        "lfq:18",
    ],
)
def test_other_specs_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="quantiser"):
        ScalarQuantiser(spec)
