"""The limit of entropy coding: a causal transformer that learns a source up to its entropy."""

import math
from itertools import count
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seit_cl.data.fractals import render
from seit_cl.formats.entropy.grids import CODERS
from seit_cl.formats.entropy.range_coder import TOTAL
from seit_cl.reporting.markdown import publish
from seit_cl.tokenizers import DEFAULT_TOKENIZER, open_tokenizer
from studies.entropy_limit import study
from studies.entropy_limit.coding import bounds_of, coded, network, order0, rivals
from studies.entropy_limit.model import GridTransformer, Size
from studies.entropy_limit.training import Recipe, Training, bits

STEPS = 120
SMALL = Size(width=32, layers=2, heads=2, embedding=8, dropout=0.0)


def untrained(side: int, shipped: bool) -> GridTransformer:
    """A model that uses all that it sees."""
    tokenizer = open_tokenizer(DEFAULT_TOKENIZER)
    torch.manual_seed(0)
    model = GridTransformer(
        tokenizer.codebook[0], side, SMALL, tokenizer.entropy_model() if shipped else None
    ).eval()
    torch.nn.init.normal_(model.head.weight)
    return model


@pytest.mark.parametrize("shipped", [False, True])
# Attention in plain steps, and torch's own.
@pytest.mark.parametrize(("height", "width"), [(4, 6), (17, 18)])
@settings(max_examples=10, deadline=None)
@given(place=st.integers(0, 10**6), token=st.integers(0, 1022))
def test_a_token_changes_what_follows_and_nothing_before(
    shipped: bool, height: int, width: int, place: int, token: int
) -> None:
    model = untrained(18, shipped)
    grid = torch.randint(1023, (1, height, width), generator=torch.Generator().manual_seed(place))
    position = place % (height * width)
    changed = grid.clone()
    changed.view(-1)[position] = 1023 if token == grid.view(-1)[position] else token
    with torch.no_grad():
        before = model(grid)[0]
        after = model(changed)[0]
    torch.testing.assert_close(before[: position + 1], after[: position + 1], rtol=0, atol=1e-5)
    if position + 1 < height * width:
        assert (before[position + 1] - after[position + 1]).abs().max() > 1e-4


def walks(number: int, generator: torch.Generator) -> torch.Tensor:
    """Grids (number, 4, 4) of 16 codes, each 1 above the one before it with probability 3/4.

    The others are 3 above; the order is row by row.
    """
    steps = torch.where(torch.rand(number, 16, generator=generator) < 0.75, 1, 3)
    steps[:, 0] = torch.randint(16, (number,), generator=generator)
    return (steps.cumsum(1) % 16).view(-1, 4, 4)


def test_training_reaches_the_entropy_of_a_source_and_goes_on_from_its_checkpoint(
    tmp_path: Path,
) -> None:
    generator = torch.Generator().manual_seed(0)
    entropy = (4 + 15 * (-0.75 * math.log2(0.75) - 0.25 * math.log2(0.25))) / 16
    grids = walks(4096, generator)
    held_out = walks(128, generator)

    def training() -> Training:
        torch.manual_seed(0)
        model = GridTransformer(torch.randn(16, 4), 4, SMALL)
        recipe = Recipe(minutes=1.0, batch=512, rate=2e-2)
        return Training(
            model,
            grids,
            held_out,
            recipe,
            tmp_path / "training.pt",
            clock=count(0, 60 / STEPS).__next__,
        )

    lines: list[str] = []
    first = training()
    model = first.run(lines.append)
    assert bits(model, held_out) == pytest.approx(first.best) == pytest.approx(entropy, abs=0.06)
    assert lines
    assert (
        coded(lambda part: bounds_of(model(part).flatten(0, 1).softmax(1).detach()), held_out).bits
        > entropy - 0.06
    )
    again = training()
    again.run(lines.append)
    assert (again.steps, again.best) == (first.steps, first.best)


def test_an_untrained_correction_is_the_shipped_network_and_is_coded_like_it() -> None:
    tokenizer = open_tokenizer(DEFAULT_TOKENIZER)
    shipped = tokenizer.entropy_model()
    grids = tokenizer.encode(render(2, 4, 64, 0, "val")[0])[:, 0]
    model = GridTransformer(tokenizer.codebook[0], 8, SMALL, shipped).eval()
    rates = rivals(model, shipped, grids)
    assert rates["transformer"].bits == pytest.approx(rates["context"].bits, abs=0.05)
    assert (
        rates["context"].record
        == CODERS["context"](shipped, 8, 8).encode(grids).lengths.double().mean()
    )
    assert (
        rates["table"].record
        == CODERS["table"](shipped, 8, 8).encode(grids).lengths.double().mean()
    )
    edges = torch.cat([starts(grids[:1]) for starts in (order0(grids, 1024), network(shipped))])
    assert (edges.diff(dim=1) >= 1).all()
    assert (edges[:, -1] <= TOTAL).all()


def test_images_are_measured_and_a_page_is_written(tmp_path: Path) -> None:
    from PIL import Image

    for name, image in enumerate(render(2, 6, 64, 0, "train")[0]):
        folder = tmp_path / ("test" if name % 4 == 0 else "train")
        folder.mkdir(exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{name}.png")
    folders = [tmp_path / name for name in ("train", "test", "out")]
    options = study.Options(*folders, minutes=0.01, windows=2, resolution=32)
    result = study.measure(options)
    assert result.facts["training grids"] == 2 * result.facts["training images"] == 16
    assert result.facts["test images"] == 3
    assert 0 < result.rivals["transformer"].bits < 20
    publish(study.report(result, options, "typed"), tmp_path / "limit.md")
    assert "of the way" in (tmp_path / "limit.md").read_text()
    assert (tmp_path / "out" / "limit.json").exists()
