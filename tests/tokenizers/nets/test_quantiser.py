"""Quantisers of features: nearest codes, seeds, and the variance that codes explain."""

import faiss
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.tokenizers.nets.quantiser import (
    QuantiserSettings,
    allocation,
    fit_quantiser,
    one_thread,
    parse_sizes,
    projection,
)
from seit_cl.tokenizers.training.features import explained_variance


def features(count: int = 600, width: int = 12, seed: int = 0) -> Tensor:
    """Correlated features (N, C) far from the origin."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator)
    return torch.randn(count, width, generator=generator) @ mixing + 5


def quantiser_settings(
    kind: str, groups: int = 1, codes: int = 16, dim: int = 8, whiten: bool = False, seed: int = 0
) -> QuantiserSettings:
    return QuantiserSettings(kind, groups, codes, dim, whiten, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "groups"), [("km", 1), ("pq", 4), ("rq", 3)])
def test_codes_are_the_nearest_ones_that_faiss_finds(kind: str, groups: int) -> None:
    made = fit_quantiser(features(), quantiser_settings(kind, groups))
    points = features(seed=1)
    reduced = made.reduce(points)
    codes = made.codes(points).long()
    for group, book in enumerate(made.codebook):
        target = reduced.chunk(groups, 1)[group] if kind == "pq" else reduced
        index = faiss.IndexFlatL2(book.shape[1])
        index.add(book.numpy())
        _, nearest = index.search(target.contiguous().numpy(), 1)
        same = torch.from_numpy(nearest[:, 0]) == codes[:, group]
        assert same.float().mean() > 0.998  # all but those that rounding decides
        if kind == "rq":
            reduced = reduced - book[codes[:, group]]


@pytest.mark.parametrize(
    ("kind", "groups", "shape"),
    [("km", 1, (1, 16, 8)), ("pq", 4, (4, 16, 2)), ("rq", 3, (3, 16, 8))],
)
def test_one_seed_gives_one_codebook_and_another_seed_another(
    kind: str, groups: int, shape: tuple[int, ...]
) -> None:
    first, again, other = (
        fit_quantiser(features(), quantiser_settings(kind, groups, seed=seed)) for seed in (3, 3, 4)
    )
    assert first.codebook.shape == shape
    assert torch.equal(first.codebook, again.codebook)
    assert not torch.equal(first.codebook, other.codebook)


def test_fitting_leaves_the_threads_of_faiss_and_the_global_generator_as_they_were() -> None:
    faiss.omp_set_num_threads(2)
    before = torch.get_rng_state()
    fit_quantiser(features(), quantiser_settings("km"))
    assert faiss.omp_get_max_threads() == 2
    assert torch.equal(torch.get_rng_state(), before)
    with one_thread():
        assert faiss.omp_get_max_threads() == 1


def test_more_codes_a_position_keep_more_of_the_features() -> None:
    points = features(2000)
    shares = [
        explained_variance(fit_quantiser(points, quantiser_settings("rq", groups)), points)
        for groups in (1, 2, 4)
    ]
    assert 0 < shares[0] < shares[1] < shares[2] < 1
    assert (
        explained_variance(fit_quantiser(points, quantiser_settings("pq", 4)), points) > shares[0]
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), split=st.integers(1, 59))
def test_features_have_the_same_codes_whatever_comes_with_them(seed: int, split: int) -> None:
    made = fit_quantiser(features(), quantiser_settings("rq", 2))
    points = features(60, seed=seed)
    apart = torch.cat([made.codes(points[:split]), made.codes(points[split:])])
    assert (
        apart == made.codes(points)
    ).float().mean() > 0.99  # all but those that rounding decides


def test_components_are_those_of_most_variance_and_of_one_where_whitened() -> None:
    points = features(5000)
    for whiten in (False, True):
        mean, matrix = projection(points, quantiser_settings("km", dim=5, whiten=whiten))
        reduced = (points - mean) @ matrix
        covariance = torch.cov(reduced.T)
        assert torch.allclose(reduced.mean(0), torch.zeros(5), atol=1e-3)
        assert torch.allclose(covariance, torch.diag(covariance.diag()), atol=1e-3)
        assert float(reduced.square().mean()) == pytest.approx(1, abs=1e-3)
        assert torch.allclose(covariance.diag(), torch.ones(5), atol=0.01) == whiten
    plain = projection(points, quantiser_settings("km", dim=0))[1]
    assert torch.equal(plain, torch.diag(plain.diag()))
    assert bool((plain.diag() == plain[0, 0]).all())


def test_components_are_dealt_to_parts_of_like_variance() -> None:
    values = [100.0, 50.0, 10.0, 5.0, 2.0, 1.0]
    order = allocation(values, 2)
    assert sorted(order) == list(range(6))
    products = torch.tensor(values)[order].reshape(2, 3).prod(1)
    assert products.max() / products.min() < 5 < 100 * 50 * 10 / (5 * 2 * 1)


@pytest.mark.parametrize(
    ("kind", "text", "sizes"),
    [("km", "1024", (1, 1024)), ("pq", "8x256", (8, 256)), ("rq", "64", (1, 64))],
)
def test_sizes_are_read_from_their_text(kind: str, text: str, sizes: tuple[int, int]) -> None:
    assert parse_sizes(kind, text) == sizes


@pytest.mark.parametrize("spec", ["km=2x64", "pq=8*256", "pq=x256", "rq=4x1", "rq=0x4", "km=40000"])
def test_other_sizes_are_refused_with_an_example(spec: str) -> None:
    kind, _, text = spec.partition("=")
    with pytest.raises(UserError, match=f"{kind}=.*write e.g. {kind}="):
        parse_sizes(kind, text)


def test_too_few_positions_and_parts_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UserError, match="10 positions to fit 16 codes to"):
        fit_quantiser(features(10), quantiser_settings("km"))
    with pytest.raises(UserError, match="cannot divide 8 dimensions"):
        fit_quantiser(features(), quantiser_settings("pq", 3))
