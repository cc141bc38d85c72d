"""Command lines and their grids of runs: options, YAML files, and the folders of runs."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from seit_cl.command_line import parse
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.run_tests import RunTests
from seit_cl.grid import expand, is_finished, run_folder, run_grid, run_id
from seit_cl.launch import Launch
from seit_cl.results import run_files, run_writer
from seit_cl.results.manifest import write_manifest
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer
from seit_cl.tokenizers.nets.vqae import VQAutoencoder


def grid(*arguments: str) -> list[RunConfig]:
    return expand(parse(list(arguments)))


def test_several_values_make_every_combination_once() -> None:
    runs = grid(
        "--format",
        "jpeg",
        "tokens",
        "--memory-mb",
        "0.1",
        "1",
        "--seed",
        "0",
        "1",
        "2",
        "--learner",
        "tokens",
    )
    assert len(runs) == len(set(runs)) == 2 * 2 * 3


def test_seeds_and_class_orders_cross() -> None:
    runs = grid("--seed", "0", "1", "--class-order-seed", "1993", "5")
    assert [(run.seed, run.class_order_seed) for run in runs] == [
        (0, 1993),
        (0, 5),
        (1, 1993),
        (1, 5),
    ]


def test_paired_orders_give_each_seed_a_class_order_of_its_own() -> None:
    runs = grid("--seed", "0", "1", "4", "--paired-orders")
    assert [(run.seed, run.class_order_seed) for run in runs] == [(0, 1993), (1, 1994), (4, 1997)]
    (other,) = grid("--seed", "2", "--paired-orders", "--class-order-seed", "7")
    assert other.class_order_seed == 9


def test_paired_orders_are_an_option_of_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("seed: [0, 1]\npaired_orders: true\n")
    assert [run.class_order_seed for run in grid("--config", str(path))] == [1993, 1994]


def test_paired_orders_refuse_several_class_orders() -> None:
    with pytest.raises(UserError, match=r"--paired-orders.*give one, not 2"):
        grid("--paired-orders", "--class-order-seed", "1", "2")


def test_a_folder_names_the_class_order_where_it_is_not_the_default_one() -> None:
    assert run_id(RunConfig(memory_mb=0, seed=1)) == "er_tokens_seed1"
    assert run_id(RunConfig(memory_mb=0, class_order_seed=7)) == "er_tokens_seed0_order7"


def test_a_folder_of_the_time_when_names_had_no_class_order_is_used(tmp_path: Path) -> None:
    config = RunConfig(class_order_seed=7)
    earlier = tmp_path / run_id(RunConfig())
    run_writer.start_run(earlier, config.plain(), {})
    assert run_folder(tmp_path, config) == earlier
    assert run_folder(tmp_path, RunConfig(class_order_seed=8)).name.endswith("_order8")


def test_a_strategy_without_memory_runs_once_per_seed_and_learner() -> None:
    runs = grid(
        "--strategy",
        "naive",
        "er",
        "--format",
        "jpeg",
        "raw",
        "--memory-mb",
        "0.1",
        "1",
        "--seed",
        "0",
        "1",
    )
    assert [r.strategy for r in runs].count("naive") == 2
    assert [r.strategy for r in runs].count("er") == 8


def test_the_pixel_learner_leaves_out_tokens() -> None:
    runs = grid("--learner", "tokens", "pixels", "--format", "jpeg", "tokens")
    assert {(r.learner, r.format) for r in runs} == {
        ("tokens", "jpeg"),
        ("tokens", "tokens"),
        ("pixels", "jpeg"),
    }


def test_a_format_written_in_two_ways_runs_once() -> None:
    assert len(grid("--format", "jpeg", "jpeg:quality=75", "jpeg:size=0")) == 1


@given(st.lists(st.floats(1e-6, 1e4), min_size=2, max_size=2, unique_by=lambda mb: round(mb * 1e6)))
def test_budgets_that_differ_by_a_byte_have_folders_of_their_own(budgets: list[float]) -> None:
    assert len({run_id(RunConfig(memory_mb=mb)) for mb in budgets}) == 2


def test_a_yaml_file_fills_options_and_the_command_line_overrides_it(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("epochs: 3\nformat: [jpeg, tokens]\nseed: 4\nclass_order: [b, a]\n")
    runs = grid("--config", str(path), "--epochs", "5")
    assert {(r.epochs, r.format, r.seed, r.class_order) for r in runs} == {
        (5, "jpeg", 4, ("b", "a")),
        (5, "tokens", 4, ("b", "a")),
    }


def test_a_config_that_a_run_wrote_back_means_the_same_run(tmp_path: Path) -> None:
    config = RunConfig(
        epochs=2, format="jpeg:quality=10", data_root=tmp_path, class_order=("a", "b")
    )
    run_writer.start_run(tmp_path / "run", config.plain(), {})
    (read,) = grid("--config", str(tmp_path / "run" / "config.yaml"))
    assert read.plain() == config.plain()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoks: 3\n", ["epoks", "epochs"]),
        ("- 1\n", ["holds no options"]),
        ("a: [\n", ["--config"]),
    ],
)
def test_a_bad_yaml_file_is_named(text: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        grid("--config", str(path))
    assert all(word in str(caught.value) for word in [str(path), *words])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "0"],
        ["--batch", "0"],
        ["--replay-batch", "-1"],
        ["--learning-rate", "0"],
        ["--memory-mb", "-1"],
        ["--memory-mb", "nan"],
        ["--memory-mb", "1e-7"],
        ["--token-rrc", "0"],
        ["--cutmix-p", "1.5"],
        ["--label-smoothing", "1"],
        ["--warmup", "-0.1"],
        ["--model", "huge"],
        ["--epochs", "many"],
        ["--seed"],
    ],
)
def test_a_value_that_no_run_can_mean_is_refused_in_one_line_that_names_the_option(
    arguments: list[str],
) -> None:
    with pytest.raises(UserError) as caught:
        grid(*arguments)
    assert arguments[0] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_run_is_checked_before_the_first_one_trains(fractals: Path, tmp_path: Path) -> None:
    runs = grid(
        "--data-root",
        str(fractals),
        "--memory-mb",
        "0.01",
        "0.00003",
        "--experiences",
        "2",
        "--epochs",
        "1",
    )
    with pytest.raises(UserError, match="bytes"):
        run_grid(runs, tmp_path / "out", Console(quiet=True))
    assert not list((tmp_path / "out").glob("*/config.yaml"))


def test_a_run_that_fails_is_marked_with_its_reason_and_may_be_started_again(
    fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig(data_root=fractals, experiences=2, epochs=1, memory_mb=0.003)
    data = RunData(config)
    with monkeypatch.context() as patch:
        patch.setattr(RunTests, "after_experience", lambda self, step, learner: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Experiment(config, data, tmp_path / "run").run()
    failed = run_files.read_run(tmp_path / "run")
    assert (failed.status, failed.problem) == ("failed", "ZeroDivisionError: division by zero")
    assert not is_finished(config, tmp_path / "run")
    Experiment(config, data, tmp_path / "run").run()
    assert is_finished(config, tmp_path / "run")
    assert run_files.read_run(tmp_path / "run").problem == ""


def test_results_of_other_options_are_never_mixed_into_a_folder(tmp_path: Path) -> None:
    run_writer.start_run(tmp_path / "run", RunConfig(epochs=3, fill="during").plain(), {})
    with pytest.raises(UserError, match="epochs"):
        is_finished(RunConfig(epochs=4), tmp_path / "run")


def test_a_run_made_with_another_default_of_its_strategy_is_not_taken_for_one_of_now(
    fractals: Path, tmp_path: Path
) -> None:
    config = RunConfig(data_root=fractals, strategy="wa", experiences=2, epochs=1, memory_mb=0.003)
    folder = tmp_path / "run"
    Experiment(config, RunData(config), folder).run()
    assert is_finished(config, folder)
    environment = json.loads((folder / "environment.json").read_text())
    assert "max_gamma=1" in environment["strategy"]
    environment["strategy"] = environment["strategy"].replace("max_gamma=1", "max_gamma=0")
    (folder / "environment.json").write_text(json.dumps(environment))
    write_manifest(folder)
    with pytest.raises(
        UserError, match=r"made with max_gamma=0\S*, not 1.0, which is wa's default"
    ):
        is_finished(config, folder)


@pytest.mark.parametrize(
    "line",
    ["epochs: two", "epochs: null", "epochs: 1.5", "learner: foo", "seed: x", "data_root: [1, 2]"],
)
@pytest.mark.parametrize("written", ["--config {}", "--config={}"])
def test_values_of_a_yaml_file_are_checked_like_those_of_the_command_line(
    line: str, written: str, tmp_path: Path
) -> None:
    path = tmp_path / "options.yaml"
    path.write_text(line)
    with pytest.raises(UserError, match=r"options\.yaml"):
        grid(*written.format(path).split())


def test_yaml_numbers_with_exponents_and_single_names_are_read_as_meant(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text(
        "learning_rate: 1e-3\nclass_order: c0\nskip_bad_images: true\nmemory_mb: '0.1'\n"
    )
    (run,) = grid(f"--config={path}")
    assert (run.learning_rate, run.class_order, run.skip_bad_images, run.memory_mb) == (
        1e-3,
        ("c0",),
        True,
        0.1,
    )


def test_a_missing_yaml_file_is_named() -> None:
    with pytest.raises(
        UserError, match=r"--config nowhere\.yaml: not readable as YAML \(No such file"
    ):
        grid("--config=nowhere.yaml")


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_fails_leaves_the_others_to_run(
    jobs: int, fractals: Path, tmp_path: Path
) -> None:
    options = [
        "--data-root",
        str(fractals),
        "--experiences",
        "1",
        "--epochs",
        "1",
        "--strategy",
        "naive",
        "--clip",
        "1e30",
    ]
    bad = grid(*options, "--learning-rate", "1e30", "--seed", "0")
    runs = [*bad, *grid(*options, "--seed", "1")]
    failures = run_grid(runs, tmp_path / "out", Console(quiet=True), launch=Launch(jobs=jobs))
    assert len(failures) == 1
    assert "--learning-rate 1e+30" in failures[0]
    statuses = {run.run_id: run.status for run in run_files.read_runs(tmp_path / "out")}
    assert sorted(statuses.values()) == ["failed", "finished"]


def test_results_of_other_images_are_never_mixed_into_a_folder(
    fractals: Path, tmp_path: Path
) -> None:
    root = tmp_path / "images"
    shutil.copytree(fractals, root)
    options = [
        "--data-root",
        str(root),
        "--experiences",
        "1",
        "--epochs",
        "1",
        "--strategy",
        "naive",
    ]
    run_grid(grid(*options, "--seed", "0"), tmp_path / "out", Console(quiet=True))
    next(root.glob("train/*/*")).unlink()
    with pytest.raises(UserError, match="dataset_identity"):
        run_grid(grid(*options, "--seed", "1"), tmp_path / "out", Console(quiet=True))


def test_runs_without_a_tokenizer_stay_when_the_tokenizer_changes(
    fractals: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    VQAETokenizer(VQAutoencoder(codes=16, dim=8, width=8, depth=0)).save(other)
    options = [
        "--data-root",
        str(fractals),
        "--experiences",
        "1",
        "--epochs",
        "1",
        "--strategy",
        "naive",
    ]
    run_grid(grid(*options, "--learner", "pixels"), tmp_path / "out", Console(quiet=True))
    (run,) = run_files.read_runs(tmp_path / "out")
    assert "tokenizer_identity" not in run.environment
    for _ in range(2):
        run_grid(grid(*options, "--tokenizer", str(other)), tmp_path / "out", Console(quiet=True))
    with pytest.raises(UserError, match="tokenizer_identity"):
        run_grid(grid(*options, "--seed", "1"), tmp_path / "out", Console(quiet=True))


def test_the_same_format_in_two_ways_runs_once_when_the_resolution_says_so(
    fractals: Path, tmp_path: Path
) -> None:
    options = [
        "--data-root",
        str(fractals),
        "--experiences",
        "1",
        "--epochs",
        "1",
        "--memory-mb",
        "0.01",
    ]
    run_grid(
        grid(*options, "--format", "jpeg", "jpeg:size=64"), tmp_path / "out", Console(quiet=True)
    )
    assert len(run_files.read_runs(tmp_path / "out")) == 1
