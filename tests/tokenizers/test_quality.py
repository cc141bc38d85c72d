"""PSNR and code use by an independent computation, and the shipped weights held to their own card."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.tokenizer_samples import bundled, images, untrained
from seit_cl.tokenizers._quality import check_figures, check_images, psnr, quality

STORED = np.load(
    Path(__file__).with_name("check.npz")
)  # fractals, and their tokens when the weights were made
IDENTITY = "32515f2723f2d88d"


def test_psnr_is_that_of_the_definition() -> None:
    a, b = images(1, 32)[0], images(1, 32, 1)[0]
    error = ((a.numpy().astype(float) - b.numpy().astype(float)) ** 2).mean()
    assert psnr(a, b) == pytest.approx(10 * math.log10(255**2 / error))
    assert psnr(a, a) == math.inf


def test_quality_is_over_all_pixels_and_all_codes() -> None:
    tokenizer, batch = untrained(), images(300, 32)  # more than a chunk
    tokens = tokenizer.encode(batch)
    found = quality(tokenizer, batch)
    assert found.psnr == pytest.approx(psnr(batch, tokenizer.decode(tokens)), abs=1e-6)
    shares = np.unique(tokens.numpy(), return_counts=True)[1] / tokens.numel()
    assert found.used == len(shares) and found.entropy == pytest.approx(
        -(shares * np.log2(shares)).sum(), abs=1e-5
    )


def test_the_stored_fractals_are_the_ones_that_cards_speak_of() -> None:
    assert torch.equal(torch.from_numpy(STORED["images"]), check_images())


def test_the_shipped_weights_are_the_ones_that_were_shipped() -> None:
    assert bundled().identity == IDENTITY


def test_the_shipped_weights_hold_what_their_card_says() -> None:
    pattern = r"PSNR ([\d.]+) dB, (\d+) codes on 20 fractals"
    now = check_figures(bundled(), torch.from_numpy(STORED["images"]))
    said, found = (re.match(pattern, text) for text in (bundled().card["check"], now))
    assert said and found
    assert float(found[1]) == pytest.approx(float(said[1]), abs=0.02)
    assert int(found[2]) == pytest.approx(int(said[2]), abs=3)


def test_the_shipped_weights_give_the_tokens_that_they_gave() -> None:
    tokens = bundled().encode(torch.from_numpy(STORED["images"]))
    assert (
        tokens.numpy() == STORED["tokens"]
    ).mean() > 0.999  # rounding differs between processors


def test_the_card_says_what_a_user_must_know() -> None:
    card = bundled().card
    assert {"data", "command", "machine", "date", "training", "figures", "check", "note"} <= set(
        card
    )
    assert "ImageNet's terms of use" in card["note"] and "Limits" in card["note"]
