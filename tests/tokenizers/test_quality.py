"""PSNR and code use by an independent computation, and the shipped weights against their card."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.tokenizer_samples import bundled, images, untrained
from seit_cl.tokenizers._quality import check_figures, check_images, psnr, quality

# Fractals, and their tokens when the weights were made.
STORED = np.load(Path(__file__).with_name("check.npz"))
IDENTITY = "32515f2723f2d88d"


def test_psnr_is_that_of_the_definition() -> None:
    a = images(1, 32)[0]
    b = images(1, 32, 1)[0]
    error = ((a.numpy().astype(float) - b.numpy().astype(float)) ** 2).mean()
    assert psnr(a, b) == pytest.approx(10 * math.log10(255**2 / error))
    assert psnr(a, a) == math.inf


def test_quality_is_over_all_pixels_and_all_codes() -> None:
    tokenizer = untrained()
    batch = images(300, 32)  # more than a chunk
    tokens = tokenizer.encode(batch)
    measured = quality(tokenizer, batch)
    assert measured.psnr == pytest.approx(psnr(batch, tokenizer.decode(tokens)), abs=1e-6)
    shares = np.unique(tokens.numpy(), return_counts=True)[1] / tokens.numel()
    assert measured.used == len(shares)
    assert measured.entropy == pytest.approx(-(shares * np.log2(shares)).sum(), abs=1e-5)


def test_the_stored_fractals_are_the_ones_that_cards_give_figures_for() -> None:
    assert torch.equal(torch.from_numpy(STORED["images"]), check_images())


def test_the_shipped_weights_are_the_ones_that_were_shipped() -> None:
    assert bundled().identity == IDENTITY


def test_the_shipped_weights_have_the_figures_of_their_card() -> None:
    pattern = r"PSNR ([\d.]+) dB, (\d+) codes on 20 fractals"
    on_card = re.match(pattern, bundled().card["check"])
    measured = re.match(pattern, check_figures(bundled(), torch.from_numpy(STORED["images"])))
    assert on_card
    assert measured
    assert float(measured[1]) == pytest.approx(float(on_card[1]), abs=0.02)
    assert int(measured[2]) == pytest.approx(int(on_card[2]), abs=3)


def test_the_shipped_weights_give_the_tokens_that_they_gave() -> None:
    tokens = bundled().encode(torch.from_numpy(STORED["images"]))
    same = tokens.numpy() == STORED["tokens"]
    assert same.mean() > 0.999  # rounding differs between processors


def test_the_card_says_what_a_user_must_know() -> None:
    card = bundled().card
    entries = {"data", "command", "machine", "date", "training", "figures", "check", "note"}
    assert entries <= set(card)
    assert "ImageNet's terms of use" in card["note"]
    assert "Limits" in card["note"]
