"""The sentences and tables of a pilot follow from accuracies, bytes and prices."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from seit_cl.formats import FormatContext
from seit_cl.piloting.page import cost_rows
from seit_cl.piloting.plan import Arm, rounded_up
from seit_cl.piloting.results import ArmResult, class_losses, difference, guessing, reference
from seit_cl.piloting.words import sentences, signed, verdict
from seit_cl.reporting.cost import Prices, Storage
from seit_cl.reporting.pairs import Difference
from seit_cl.reporting.storage import KEPT, Fidelity
from seit_cl.results.replicates import replicate_of
from seit_cl.results.run_files import Run

TOTAL = 100  # test images of a class
READABLE = Fidelity(20, 0.5, 1.0)


def run_of(seed: int, **correct: int) -> Run:
    """A run with so many right answers of each class."""
    rows = [(0, 0, name, count, TOTAL) for name, count in correct.items()]
    accuracy = pd.DataFrame(
        rows, columns=["after_experience", "experience", "class", "correct", "total"]
    )
    metadata = {"seed": seed, "memory_full": False, "exemplars": 10, "format": "tokens"}
    return Run(
        run_id=str(seed),
        config={},
        environment={},
        accuracy=accuracy,
        memory=None,
        metadata=metadata,
        status="finished",
        path=Path(str(seed)),
    )


def arm_of(format: str, learner: str, *runs: Run) -> ArmResult:
    """The result of an arm that keeps everything."""
    return ArmResult(Arm(format, learner, 1.0, True), runs)


def originals(*cats: int) -> ArmResult:
    """Runs on originals, one for each number of right cats."""
    runs = [run_of(seed, cat=cat, dog=80) for seed, cat in enumerate(cats)]
    return arm_of("jpeg:original", "pixels", *runs)


def tokens(*cats: int) -> ArmResult:
    """Runs on tokens, one for each number of right cats."""
    runs = [run_of(seed, cat=cat, dog=82) for seed, cat in enumerate(cats)]
    return arm_of("tokens", "tokens", *runs)


def verdict_of(result: ArmResult, other: ArmResult) -> str:
    """The verdict on their difference."""
    compared = difference(result, other)
    assert compared is not None
    return verdict(compared)


def test_a_loss_of_three_pairs_is_claimed_with_its_interval() -> None:
    text = verdict_of(tokens(40, 41, 42), originals(80, 81, 82))
    assert text == "19.0 ± 2.5 points lower than with the originals (3 seeds, one class order)"


def test_fewer_pairs_claim_nothing() -> None:
    assert "no claim is possible with 2 pairs" in verdict_of(tokens(40, 41), originals(80, 81))
    assert "no claim is possible with one pair" in verdict_of(tokens(40), originals(80, 81))


def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    assert [signed(points) for points in (-0.04, 0.0, -0.06, 3.0)] == [
        "+0.0",
        "+0.0",
        "-0.1",
        "+3.0",
    ]
    text = verdict(Difference(-0.04, math.nan, (replicate_of(run_of(0, cat=1)),)))
    assert text.startswith("the same as with the originals; no claim")


def test_a_small_difference_is_not_claimed_and_names_the_loss_that_it_allows() -> None:
    text = verdict_of(tokens(78, 79, 80), originals(80, 81, 82))
    assert text.startswith("no difference from the originals can be claimed (+0.0 ± 2.5 points")
    assert text.endswith("a loss of up to 2.5 points is not excluded")


def sentences_of(
    *results: ArmResult, token_bytes: int = 100, fidelity: Fidelity = READABLE
) -> list[str]:
    """The sentences of a pilot of 1,000 images a day, whose originals have 10 kB."""
    plan: Any = SimpleNamespace(
        options=SimpleNamespace(prices=Prices(0.02, 1000, 12)),
        context=FormatContext(64, 2, 1024, (1, 8, 8)),
    )
    priced = {
        KEPT: (Storage(10_000, 0, 0.0), Fidelity(math.inf, 1.0, 1.0)),
        "tokens": (Storage(token_bytes, 0), fidelity),
    }
    return sentences(plan, results, priced)


def decision(*results: ArmResult, token_bytes: int = 100) -> str:
    """The decision without the sentence on what is kept of an image."""
    first, *_ = sentences_of(*results, token_bytes=token_bytes)
    return first.partition(" Formats that do not keep the original files")[0]


def test_the_decision_follows_from_cost_pairs_and_interval() -> None:
    kept = originals(80, 81, 82)
    assert decision(kept, tokens(40, 41, 42)) == (
        "Cheaper than the original files, with a measured loss of accuracy: tokens."
    )
    assert decision(kept, tokens(78, 79, 80)).startswith("Cheaper than the original files, and")
    assert decision(kept, tokens(40, 41)) == (
        "Cheaper than the original files, undecided by accuracy: tokens. A claim needs 3 seeds "
        "with finished runs."
    )
    assert "leaves a loss of more than 5 points open" in decision(kept, tokens(60, 95, 80))
    expensive = decision(kept, tokens(78, 79, 80), token_bytes=20_000)
    assert expensive == "Not cheaper than the original files: tokens."
    assert "no decision yet" in decision(kept)


def test_a_learner_that_hardly_beats_guessing_decides_nothing() -> None:
    guessing = [run_of(seed, cat=20 + seed, dog=82) for seed in range(3)]
    kept = arm_of("jpeg:original", "pixels", *guessing)
    same = arm_of("tokens", "tokens", *guessing)
    assert "hardly does better than guessing" in decision(kept, same)
    one = arm_of("jpeg:original", "pixels", guessing[0])
    assert "hardly does better than guessing" in decision(
        one, arm_of("tokens", "tokens", guessing[0])
    )


def test_guessing_is_always_answering_the_class_with_most_test_images() -> None:
    run = run_of(0, cat=100, dog=0)
    run.accuracy.loc[run.accuracy["class"] == "cat", "total"] = 300
    assert guessing(arm_of("jpeg:original", "pixels", run)) == pytest.approx(75)


def test_what_is_kept_of_an_image_stands_beside_the_decision() -> None:
    size = "no more of an image than its square centre at 64 x 64 px"
    assert size in sentences_of(originals(80, 81, 82), tokens(40, 41, 42))[0]
    assert size not in sentences_of(originals(80, 81, 82))[0]


def test_images_that_come_back_badly_are_named_with_what_helps_tokens_alone() -> None:
    kept, poor = originals(80), Fidelity(11.9, 0.2, 1.0)
    assert "at 11.9 dB only: train the tokenizer longer (--minutes)" in " ".join(
        sentences_of(kept, tokens(80), fidelity=poor)
    )
    raw = arm_of("raw", "pixels", *tokens(80).runs)
    assert "at 11.9 dB only; the learner" in " ".join(sentences_of(kept, raw, fidelity=poor))


def test_originals_in_a_small_memory_are_no_reference() -> None:
    small = ArmResult(Arm("jpeg:original", "pixels", 0.1, False), originals(99).runs)
    chosen = reference([originals(80), small])
    assert chosen is not None and chosen.arm.keeps_all


def test_originals_count_with_their_more_accurate_learner() -> None:
    worse = arm_of("jpeg:original", "tokens", run_of(0, cat=10, dog=10))
    chosen = reference([worse, tokens(99), originals(80)])
    assert chosen is not None and chosen.arm.learner == "pixels"


def test_classes_are_ordered_by_their_loss_with_counts_over_seeds() -> None:
    (loss,) = class_losses(tokens(40, 42), originals(80, 82))
    assert (loss.name, loss.correct, loss.total) == ("cat", 82, 200)
    assert (loss.other_correct, loss.points) == (162, pytest.approx(-40))
    assert loss.images == pytest.approx(40)


def test_classes_are_compared_over_the_seeds_that_both_have() -> None:
    (loss,) = class_losses(tokens(40, 42), originals(80))
    assert (loss.correct, loss.total, loss.other_correct) == (40, 100, 80)


def test_costs_grow_until_the_store_is_full() -> None:
    priced = {
        KEPT: (Storage(1_000_000, 0, 0.0), Fidelity(math.inf, 1.0, 1.0)),
        "tokens": (Storage(100, 0), Fidelity(20, 0.5, 1.0)),
    }
    rows = cost_rows(priced, Prices(0.02, 1000, 4))
    assert [row[0] for row in rows] == [
        "first month",
        "first 2 months",
        "first 3 months",
        "first 4 months",
        "each month, once full",
        "GB, once full",
    ]
    days = 365.25 / 12
    full = 4 * days * 1000 * 1_000_000 / 1e9
    assert float(rows[-1][1]) == pytest.approx(full, rel=0.01)
    assert float(rows[-2][1]) == pytest.approx(0.02 * full, rel=0.01)
    assert float(rows[3][1]) == pytest.approx(0.02 * full * 4 / 2, rel=0.01)
    assert float(rows[0][1]) < float(rows[1][1]) < float(rows[2][1])
    assert float(rows[-2][2]) == pytest.approx(0.02 * full / 10_000, rel=0.01)


def test_budgets_are_rounded_up_to_two_digits() -> None:
    assert [rounded_up(each) for each in (0.02101, 0.02, 12.3, 0.99)] == [0.022, 0.02, 13, 0.99]
