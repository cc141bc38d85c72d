"""Tuning makes every trial once, off the evaluation stream, and writes configs that a run takes."""

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from helpers.colour_stream import OPTIONS, write_colours
from helpers.option_words import with_option
from seit_cl import tune
from seit_cl.command_line import parse
from seit_cl.core.errors import UserError
from seit_cl.grid import expand
from seit_cl.results.run_files import read_run
from seit_cl.results.run_writer import reopen_run
from seit_cl.tuning.options import parse_options
from seit_cl.tuning.search import list_searches

Tune = Callable[..., str]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("tuning"))


@pytest.fixture
def words(root: Path, tmp_path: Path) -> list[str]:
    """Options of a tuning whose runs take less than a second."""
    given = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    return ["--data-root", str(root), "--out", str(tmp_path / "out"), *given]


@pytest.fixture
def run_tune(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tune:
    """The command in the test's process: takes further words, and returns what it prints."""

    def run(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["tune", *words, *more])
        tune.main()
        return capsys.readouterr().out

    return run


def written_at(out: Path) -> dict[str, int]:
    """When each trial's run was finished, by the name of its folder."""
    times = {}
    for path in out.glob("trials/*/facts.json"):
        times[path.parent.name] = path.stat().st_mtime_ns
    return times


def trials_of(out: Path, name: str) -> pd.DataFrame:
    """The CSV of a search."""
    return pd.read_csv(out / "tuned" / f"{name}.csv")


def test_every_strategy_has_as_many_trials_and_a_config_that_says_how_it_was_found(
    run_tune: Tune, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    printed = run_tune("--strategy", "naive", "derpp", "--trials", "2", "--seed", "0", "1")
    assert len(written_at(out)) == 2 * 2 * 2
    for name in ("naive_tokens", "derpp_tokens_tokens_0.01MB"):
        assert f"{name}: " in printed
        trials = trials_of(out, name)
        assert trials["trial"].tolist() == [0, 1]
        assert trials["learning_rate"].iloc[0] == 5e-4 and trials["learning_rate"].nunique() == 2
        both_seeds = trials.filter(regex="final_accuracy_seed[01]_order1993").mean(axis=1)
        assert both_seeds.tolist() == pytest.approx(trials["final_accuracy"].tolist())
        best = trials[trials["best"]]
        assert best["final_accuracy"].tolist() == [trials["final_accuracy"].max()]
        (config,) = expand(parse(["--config", str(out / "tuned" / f"{name}.yaml")]))
        assert config.learning_rate == best["learning_rate"].item()
        assert (config.learner, config.batch, config.epochs) == ("tokens", 8, 1)
        assert (config.data_root, config.experiences, config.seed) == (None, 0, 0)
    alpha, beta = best["alpha"].item(), best["beta"].item()
    assert config.strategy == f"derpp:alpha={alpha},beta={beta}"
    assert (config.format, config.memory_mb) == ("tokens", 0.01)
    text = (out / "tuned" / "derpp_tokens_tokens_0.01MB.yaml").read_text()
    comment = [line for line in text.splitlines() if line.startswith("#")]
    for words in (
        "--strategy naive derpp --trials 2 --seed 0 1",
        "of 2, 2 of them finished",
        "seeds 0 1, class orders 1993 1993",
        "4 classes in 2 experiences",
        "learning_rate, log-uniform from 0.0001 to 0.01",
        "qmc, seed 0",
        "derpp_tokens_tokens_0.01MB.csv",
    ):
        assert any(words in line for line in comment), words


def test_the_same_command_makes_what_is_missing_and_nothing_twice(
    run_tune: Tune, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_tune("--strategy", "naive", "--trials", "2")
    before = written_at(out)
    values = trials_of(out, "naive_tokens")
    run_tune("--strategy", "naive", "--trials", "2")
    assert written_at(out) == before
    stopped, other = sorted(before)
    reopen_run(out / "trials" / stopped)
    run_tune("--strategy", "naive", "--trials", "3")
    after = written_at(out)
    assert len(after) == 3
    assert after[other] == before[other] and after[stopped] != before[stopped]
    columns = ["learning_rate", "final_accuracy"]
    longer = trials_of(out, "naive_tokens")
    assert longer[columns].head(2).equals(values[columns])


def test_tpe_goes_on_from_the_scores_that_it_finds(run_tune: Tune, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_tune("--strategy", "naive", "--trials", "2", "--sampler", "tpe")
    first = trials_of(out, "naive_tokens")
    before = written_at(out)
    run_tune("--strategy", "naive", "--trials", "3", "--sampler", "tpe")
    assert trials_of(out, "naive_tokens")["learning_rate"].head(2).equals(first["learning_rate"])
    assert before.items() <= written_at(out).items() and len(written_at(out)) == 3


def test_a_trial_that_diverges_is_noted_and_not_chosen(run_tune: Tune, tmp_path: Path) -> None:
    run_tune("--strategy", "naive", "--trials", "2", "--rates", "0.0005", "1e30", "--clip", "0")
    trials = trials_of(tmp_path / "out", "naive_tokens")
    assert trials["best"].tolist() == [True, False]
    assert "diverged" in trials["problem"].iloc[1]
    assert pd.isna(trials["final_accuracy"].iloc[1])


def test_hyperparameters_that_a_spec_sets_keep_their_values(words: list[str]) -> None:
    options, run_options = parse_options([*words, "--strategy", "derpp:alpha=0.3"], None)
    (search,) = list_searches(run_options, options)
    assert list(search.ranges) == ["learning_rate", "beta"]
    search.extend(3)
    for trial in search.trials:
        assert all("alpha=0.3," in config.strategy for config in trial.configs)


def test_formats_learners_and_budgets_are_searched_apart(words: list[str]) -> None:
    grid = ["--format", "tokens", "jpeg", "--learner", "tokens", "pixels"]
    words = with_option([*words, "--strategy", "er", *grid], "--memory-mb", "1", "2")
    options, run_options = parse_options(words, None)
    names = {search.name for search in list_searches(run_options, options)}
    pairs = ("tokens_tokens", "tokens_jpeg", "pixels_jpeg")
    assert names == {f"er_{pair}_{budget}MB" for pair in pairs for budget in (1, 2)}


def test_a_trial_has_a_run_for_every_class_order(words: list[str]) -> None:
    orders = ["--seed", "0", "1", "--paired-orders"]
    options, run_options = parse_options([*words, "--strategy", "er", *orders], None)
    (search,) = list_searches(run_options, options)
    runs = [(config.seed, config.class_order_seed) for config in search.trials[0].configs]
    assert runs == [(0, 1993), (1, 1994)]
    assert search.name == "er_tokens_tokens_0.01MB"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials", "0"], "--trials 0"),
        (["--parts", "1"], "--parts 1"),
        (["--rates", "0", "1"], "--rates 0 1"),
        (["--rates", "0.001", "0.01"], "--learning-rate 0.0005: the first trial has it"),
        (["--sampler-seed=-1"], "--sampler-seed -1"),
        (["--sampler", "grid"], "--sampler"),
        (["--on", "first-experience", "--apart-from", "x"], "--apart-from"),
        (["--epoch", "3"], "unknown option --epoch"),
    ],
)
def test_refused_options_are_named_in_a_line(
    words: list[str], more: list[str], message: str
) -> None:
    with pytest.raises(UserError) as error:
        parse_options([*words, *more], None)
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1


def test_the_first_experience_of_several_class_orders_is_refused(run_tune: Tune) -> None:
    with pytest.raises(UserError, match="give one --class-order-seed"):
        run_tune("--on", "first-experience", "--class-order-seed", "1", "2")


def test_classes_of_the_evaluation_are_refused(root: Path, run_tune: Tune) -> None:
    with pytest.raises(UserError, match=r"same 4 of its 4 classes \(colour0, colour1"):
        run_tune("--apart-from", str(root))


def test_the_first_experience_is_tuned_on_without_other_images(
    root: Path, run_tune: Tune, tmp_path: Path
) -> None:
    first = ["--on", "first-experience", "--parts", "2", "--class-order-seed", "0"]
    run_tune(*first, "--strategy", "er", "--trials", "2")
    out = tmp_path / "out"
    folders = sorted((out / "trials").iterdir())
    shown = set(read_run(folders[0]).environment["classes"])
    assert len(shown) == 2
    numbers = [read_run(folder).accuracy for folder in folders]
    # The same images of the first experience, and noise for all others and for every test image.
    other = write_colours(tmp_path / "noise")
    generator = torch.Generator().manual_seed(1)
    for path in sorted(other.rglob("*.png")):
        if path.parts[-3] == "val" or path.parent.name not in shown:
            noise = torch.randint(256, (32, 32, 3), generator=generator, dtype=torch.uint8)
            Image.fromarray(noise.numpy()).save(path)
    again = ["--data-root", str(other), "--out", str(tmp_path / "again")]
    run_tune(*first, "--strategy", "er", "--trials", "2", *again)
    for folder, accuracy in zip(folders, numbers, strict=True):
        assert read_run(tmp_path / "again" / "trials" / folder.name).accuracy.equals(accuracy)
    (config,) = (out / "tuned").glob("er_tokens_tokens_0.01MB*.yaml")
    comment = config.read_text()
    assert "the first experience, tested on 20 % of its training images" in comment
    for name in ("test_on", "validation_fraction", "experiences"):
        assert f"\n{name}:" not in comment
