"""The answer at the top of the page."""

from typing import Any

import pandas as pd
import pytest

from seit_cl.reporting.headline import answer, comparisons, headline
from seit_cl.results.run_files import Run
from seit_cl.results.run_writer import accuracy_rows

TESTED = 1000


def run(
    spec: str,
    memory: int,
    seed: int,
    final: int,
    *,
    exemplars: int = 100,
    full: bool = True,
    status: str = "finished",
    **metadata: Any,
) -> Run:
    """A run of two experiences with a final accuracy of `final` tenths of a percent."""
    rows = []
    for learnt, tested in ((0, 0), (1, 0), (1, 1)):
        name = f"class {tested}"
        rows += accuracy_rows(learnt, tested, {name: final}, {name: TESTED})
    values = {
        "dataset": "bench",
        "scenario": "class-incremental",
        "strategy": "er",
        "learner": "tokens",
        "format": spec,
        "memory_bytes": memory,
        "seed": seed,
        "exemplars": exemplars,
        "memory_full": full,
        "status": status,
    }
    name = "-".join(map(str, (spec, memory, seed, metadata)))
    return Run(name, {}, {}, pd.DataFrame(rows), None, values | metadata, status)


def pairs(
    memory: int,
    tokens: list[int],
    jpegs: list[int],
    spec: str = "jpeg:quality=75",
    **metadata: Any,
) -> list[Run]:
    """Runs with 240 tokens and with 10 JPEGs, of the seeds from 0, by their final accuracies."""
    runs = []
    for seed, final in enumerate(tokens):
        runs.append(run("tokens", memory, seed, final, exemplars=240, **metadata))
    for seed, final in enumerate(jpegs):
        runs.append(run(spec, memory, seed, final, exemplars=10, **metadata))
    return runs


def test_a_significant_difference_is_stated_with_the_exemplars_that_fit():
    first, second = answer(pairs(1_000_000, [390, 400, 410], [300, 309, 318]))
    # differences 9.0, 9.1, 9.2: standard error 0.1 / sqrt(3), times 4.303 of two degrees of freedom
    assert first == (
        "At 1 MB, tokens store 24 x as many exemplars as jpeg:quality=75; "
        "their final accuracy is 9.1 ± 0.2 points higher (3 seeds, one class order)."
    )
    assert second == "No other budget or setting has such a pair, so this result stands alone."


def test_a_loss_of_tokens_is_stated_like_a_gain():
    first, _ = answer(pairs(1_000_000, [300, 309, 318], [390, 400, 410]))
    assert first.endswith(
        "tokens store 24 x as many exemplars as jpeg:quality=75; "
        "their final accuracy is 9.1 ± 0.2 points lower (3 seeds, one class order)."
    )


def test_a_difference_within_its_interval_is_not_significant():
    first, _ = answer(pairs(1_000_000, [300, 330, 360], [330, 310, 340]))
    assert "higher" not in first
    assert "lower" not in first
    assert first.endswith(
        "; the difference in final accuracy is not significant (+0.3 ± 7.2 points, "
        "3 seeds, one class order)."
    )


def test_one_seed_has_no_interval_and_is_no_evidence():
    first, _ = answer(pairs(1_000_000, [390], [300]))
    assert first.endswith(
        "; their final accuracy is 9.0 points higher "
        "(one seed: no interval, so this is no evidence)."
    )


def test_two_seeds_that_agree_are_no_evidence():
    first, _ = answer(pairs(1_000_000, [311, 321], [300, 310]))
    assert first.endswith(
        "; their final accuracy is 1.1 points higher "
        "(2 seeds, one class order: two pairs, so this is no evidence)."
    )


def test_equal_accuracies_of_every_seed_are_no_significant_difference():
    first, _ = answer(pairs(1_000_000, [300, 310, 320], [300, 310, 320]))
    # five of the 2,000 test images
    expected = "is not significant (+0.0 ± 0.2 points, 3 seeds, one class order)"
    assert f"the difference in final accuracy {expected}" in first


def test_all_budgets_are_counted_and_the_middle_one_is_the_headline():
    high = [390, 400, 410]
    low = [300, 310, 320]
    runs = pairs(20_000, high, low) + pairs(100_000, [300, 340, 320], [330, 310, 320])
    runs += pairs(500_000, low, high) + pairs(1_000_000, high[:2], low[:2])
    runs += pairs(2_000_000, [400], [300])
    first, second = answer(runs)
    assert first.startswith("At 0.1 MB, ")
    assert "not significant" in first
    assert second == (
        "Of all 5 comparisons (0.02 to 2 MB), tokens are more accurate in 1, "
        "tokens are less accurate in 1, the difference is not significant in 1, "
        "there are two pairs only in 1 and there is a single seed in 1."
    )


def test_budgets_that_no_run_filled_are_no_headline_where_others_were_filled():
    runs = pairs(20_000, [390, 400], [300, 311])
    runs += pairs(9_000_000, [400, 410, 420], [400, 411, 422], full=False)
    assert answer(runs)[0].startswith("At 0.02 MB, ")


@pytest.mark.parametrize(
    ("jpegs", "end"),
    [
        (
            [300, 309, 318],
            "the final accuracy of tokens is 9.1 ± 0.2 points higher (3 seeds, one class order).",
        ),
        (
            [390, 402, 408],
            "the difference in final accuracy is not significant (+0.0 ± 0.5 points, "
            "3 seeds, one class order).",
        ),
    ],
)
def test_budgets_that_no_run_filled_do_not_test_storage(jpegs, end):
    first, _ = answer(pairs(9_000_000, [390, 400, 410], jpegs, full=False))
    assert first == (
        "At 9 MB, every sample fits both as tokens and as jpeg:quality=75, "
        f"so these runs do not test storage; {end}"
    )


def test_the_strongest_of_the_jpegs_with_the_most_pairs_is_the_rival():
    runs = pairs(1_000_000, [390, 400], [300, 310])
    for seed in (0, 1):
        runs.append(run("jpeg:quality=25", 1_000_000, seed, 350 + seed))
        runs.append(run("raw", 1_000_000, seed, 399))
    runs.append(run("jpeg_scan:quality=10", 1_000_000, 0, 389))
    (only,) = comparisons(runs)
    assert (only.rival.format, only.difference.pairs) == ("jpeg:quality=25", 2)


def test_only_runs_of_the_same_learner_strategy_and_options_are_pairs():
    tokens = [run("tokens", 1_000_000, seed, 390) for seed in (0, 1)]
    for other in ({"learner": "pixels"}, {"strategy": "er_ace"}, {"dataset": "other"}):
        (sentence,) = answer(
            tokens + [run("jpeg", 1_000_000, seed, 300, **other) for seed in (0, 1)]
        )
        assert sentence.startswith("No comparison is possible: ")
    jpegs = [run("jpeg", 1_000_000, seed, 300) for seed in (0, 1)]
    for each in jpegs:
        each.variant = "epochs=5"
    assert answer(tokens + jpegs)[0].startswith("No comparison is possible: ")


def test_runs_of_other_seeds_are_no_pairs():
    assert answer([run("tokens", 1_000_000, 0, 390), run("jpeg", 1_000_000, 1, 300)])[0].startswith(
        "No comparison is possible: "
    )


def test_the_setting_is_named_where_there_are_several():
    runs = pairs(1_000_000, [390, 400, 410], [300, 309, 318]) + pairs(
        1_000_000, [390, 400, 410], [300, 311, 321], strategy="er_ace"
    )
    first, second = answer(runs)
    assert first.startswith("At 1 MB (er), tokens")
    assert second == "Of all 2 comparisons (1 MB in 2 settings), tokens are more accurate in 2."


def test_the_options_are_named_where_there_are_several():
    short = pairs(1_000_000, [390, 400, 410], [300, 309, 318])
    long = pairs(1_000_000, [390, 400, 410], [300, 309, 318], epochs=2)
    long += pairs(2_000_000, [390, 400, 410], [300, 309, 318], epochs=2)
    for each in short:
        each.variant = "epochs=1"
    for each in long:
        each.variant = "epochs=2"
    first, second = answer(short + long)
    assert first.startswith("At 1 MB (epochs=2), tokens")
    assert second == (
        "Of all 2 comparisons with epochs=2 (1 to 2 MB), tokens are more accurate in 2. "
        "The figures have 1 more, of other options of tokens or of training."
    )


def test_without_jpegs_the_other_formats_are_rivals():
    assert (
        "exemplars as raw; their final accuracy is 9.1"
        in answer(pairs(1_000_000, [390, 400, 410], [300, 309, 318], spec="raw"))[0]
    )


@pytest.mark.parametrize(
    ("tokens", "jpegs", "clause"),
    [
        (100, 100, "store as many exemplars as jpeg"),
        (150, 100, "store 1.5 x as many exemplars as jpeg"),
        (50, 100, "store 0.5 x as many exemplars as jpeg"),
        (1234, 100, "store 12 x as many exemplars as jpeg"),
        (50, 0, "store 50 exemplars and jpeg none"),
    ],
)
def test_numbers_of_exemplars_are_compared_as_a_ratio(tokens, jpegs, clause):
    runs = [run("tokens", 1_000_000, seed, 390, exemplars=tokens) for seed in (0, 1)]
    runs += [run("jpeg", 1_000_000, seed, 300, exemplars=jpegs) for seed in (0, 1)]
    assert f"tokens {clause}; " in answer(runs)[0]


def test_the_answer_names_what_is_missing():
    assert answer([]) == ["No run has finished yet, so there is no answer yet."]
    assert answer([run("tokens", 1, 0, 300, status="running")]) == [
        "No run has finished yet, so there is no answer yet."
    ]
    assert answer([run("", 0, 0, 300, strategy="naive")])[0].startswith(
        "No finished run has a memory"
    )
    assert answer([run("jpeg", 1, 0, 300)])[0].startswith("No finished run stores tokens")
    assert answer([run("tokens", 1, 0, 300)])[0].startswith(
        "Every finished run with a memory stores tokens"
    )


def test_unfinished_runs_are_no_evidence():
    runs = pairs(1_000_000, [390, 400, 410], [300, 309, 318])
    unfinished = run("tokens", 1_000_000, 3, 0, status="running")
    without_pair = run("jpeg:quality=75", 1_000_000, 3, 999)
    assert answer([*runs, unfinished, without_pair]) == answer(runs)


def test_the_headline_is_chosen_whatever_the_results():
    won = ([390, 400], [300, 310])
    even = ([300, 340], [330, 310])
    lost = ([300, 310], [390, 400])
    for order in ((won, even, lost), (lost, won, even), (even, lost, won)):
        runs = []
        for budget, (tokens, jpegs) in zip((20_000, 100_000, 500_000), order, strict=True):
            runs += pairs(budget, tokens, jpegs)
        assert headline(comparisons(runs)).budget == 100_000
