"""Layers that commute with mirroring: a mirrored input gives the mirrored output."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from helpers.generators import generator
from seit_cl.tokenizers.nets.mirror import (
    ACTIONS,
    PairNorm,
    PairsToCode,
    PairsToImage,
    ToPairs,
    signs,
)
from seit_cl.tokenizers.nets.vqae import Block, VQAutoencoder


def mirrored(x: Tensor, kind: str) -> Tensor:
    """Feature maps (B, C, H, W) of a kind as the mirrored image would have them."""
    return ACTIONS[kind](x.flip(-1))


LAYERS: dict[str, tuple[Callable[[], nn.Module], str, int, str]] = {
    "image to pairs": (lambda: ToPairs("image", 3, 8, 8, 4), "image", 3, "pairs"),
    "pairs to pairs": (lambda: ToPairs("pairs", 8, 12, 3), "pairs", 8, "pairs"),
    "pairs to fewer": (lambda: ToPairs("pairs", 8, 4, 4, 2), "pairs", 8, "pairs"),
    "code to pairs": (lambda: ToPairs("code", 7, 8, 3), "code", 7, "pairs"),
    "pairs to code": (lambda: PairsToCode(8, 7), "pairs", 8, "code"),
    "pairs to image": (lambda: PairsToImage(8, 8, 4), "pairs", 8, "image"),
    "block": (lambda: Block(8), "pairs", 8, "pairs"),
}


def shaken(module: nn.Module) -> nn.Module:
    """Add noise to every weight, norms included, so that no layer starts as the identity."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator(1)))
    return module


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_commutes_with_mirroring(name: str, training: bool) -> None:
    make, source, channels, target = LAYERS[name]
    layer = shaken(make()).train(training)
    x = torch.randn(5, channels, 16, 16, generator=generator(2))
    with torch.no_grad():
        of_mirrored = layer(mirrored(x, source))
        mirror_of_output = mirrored(layer(x), target)
        torch.testing.assert_close(of_mirrored, mirror_of_output, atol=1e-4, rtol=1e-4)
        # x is not its own mirror image.
        assert (layer(x) - mirror_of_output).abs().max() > 0.01


def test_the_norm_standardises_both_of_a_pair_together() -> None:
    x = torch.randn(6, 4, 8, 8) * 3 + torch.tensor([1.0, 2.0, 5.0, -2.0])[:, None, None]
    y = PairNorm(4)(x).detach()
    for channel in range(2):
        both = y[:, [channel, channel + 2]]
        assert abs(float(both.mean())) < 1e-4
        assert abs(float(both.var()) - 1) < 0.01
    assert abs(float(y[:, 0].mean())) > 0.1  # not each alone


def test_a_layer_remembers_statistics_for_single_images() -> None:
    layer = ToPairs("image", 3, 8, 8, 4)
    x = torch.randn(64, 3, 16, 16) * 2 + 1
    with torch.no_grad():
        for _ in range(100):
            layer(x)
        assert torch.allclose(layer.eval()(x[:1]), layer.train()(x)[:1], atol=0.05)


def test_half_of_a_code_is_even_and_the_other_half_odd() -> None:
    assert signs(5).tolist() == [1, 1, 1, -1, -1]


def test_partner_codes_are_mirror_images_and_rounding_does_not_choose_between_them() -> None:
    model = VQAutoencoder(codes=20, dim=6, width=8, depth=1).eval()
    assert torch.equal(model.codebook[10:], model.codebook[:10] * model.signs)
    latents = torch.nn.functional.normalize(torch.randn(4, 6, 5, 5), dim=1)
    codes = model.nearest(latents)
    assert torch.equal(codes, torch.einsum("bdhw,kd->bhwk", latents, model.codebook).argmax(-1))
    latents[:, 3:] = 1e-7 * torch.randn(4, 3, 5, 5)
    assert int(model.nearest(latents).max()) < 10
