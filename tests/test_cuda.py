"""Runs on CUDA: as good as on the CPU, with the same samples and memory, and resumed alike."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from helpers.colour_stream import OPTIONS, Outcome, colours, run
from helpers.job_log import JobLog
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.data.fractals import write_fractals
from seit_cl.experiment.events import ExperienceInfo, StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.launchers.jobs import Job
from seit_cl.launchers.local import open_workers
from seit_cl.results.run_files import read_run
from seit_cl.tokenizers._encoding import encode_files

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICE = "cuda"
ENOUGH: dict[str, Any] = {"epochs": 8}  # to learn the colours, and to record steps
TAKING_STEPS = {"simplecil": "simplecil:adapt=true"}
CAPTURABLE = []
for _name in plugins.names("strategy"):
    if plugins.load("strategy", _name).capturable:
        CAPTURABLE.append(TAKING_STEPS.get(_name, _name))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="module")
def there(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(data, tmp_path_factory.mktemp("cuda") / "run", device=DEVICE, **ENOUGH)


@pytest.fixture(scope="module")
def here(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(data, tmp_path_factory.mktemp("cpu") / "run", device="cpu", **ENOUGH)


def test_runs_beside_one_another_share_the_device(data: RunData, tmp_path: Path) -> None:
    options = {**OPTIONS, "data_root": data.dataset.root, "device": DEVICE}
    jobs = [Job(RunConfig(**options, seed=seed), tmp_path / f"seed{seed}") for seed in (0, 1)]
    log = JobLog()
    with open_workers(2, RunData(jobs[0].config, shared=True)) as workers:
        workers.run(jobs, log)
    assert log.most_workers == 2
    assert [ending.problem for ending in log.endings.values()] == ["", ""]
    assert {read_run(job.run_dir).status for job in jobs} == {"finished"}


def test_both_devices_learn_equally_well(there: Outcome, here: Outcome) -> None:
    assert there.row["device"].startswith(DEVICE)
    assert there.row["final_accuracy"] > 0.8
    assert (
        abs(there.row["final_accuracy"] - here.row["final_accuracy"]) <= 0.15
    )  # 40 images, other augmentations


def test_both_devices_see_the_same_samples_and_keep_the_same_memory(
    there: Outcome, here: Outcome
) -> None:
    assert there.fresh == here.fresh
    assert (there.folder / "memory.bin").read_bytes() == (here.folder / "memory.bin").read_bytes()


def test_the_tokenizer_works_where_the_learner_does(data: RunData) -> None:
    config = RunConfig(data_root=data.dataset.root, device=DEVICE)
    assert RunData(config).tokenizer.codebook.is_cuda
    images = data.read(torch.arange(8))
    assert torch.equal(
        RunData(config).tokenizer.encode(images),
        RunData(replace(config, device="cpu")).tokenizer.encode(images),
    )


def test_files_are_tokenized_there_as_here(data: RunData) -> None:
    config = RunConfig(data_root=data.dataset.root, device=DEVICE)
    paths = data.dataset.train.images
    there = encode_files(paths, RunData(config).tokenizer, data.resolution, chunk=8)
    here = encode_files(paths, data.tokenizer, data.resolution, chunk=8)
    assert there.device.type == "cpu"
    assert torch.equal(there, here)


def test_the_first_loss_is_the_same_on_both_devices(there: Outcome, here: Outcome) -> None:
    assert there.losses[0] == pytest.approx(
        here.losses[0], abs=1e-4
    )  # the head starts at zero: log of the classes seen


def test_a_compiled_run_with_its_cuda_graphs_learns_what_the_plain_one_does(
    data: RunData, there: Outcome, tmp_path: Path
) -> None:
    compiled = run(data, tmp_path / "compiled", device=DEVICE, compile=True, **ENOUGH)
    assert compiled.fresh == there.fresh
    assert compiled.losses == pytest.approx(there.losses, rel=0.05, abs=0.02)
    assert abs(compiled.row["final_accuracy"] - there.row["final_accuracy"]) <= 0.05


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "fp32") for name in CAPTURABLE), ("er", "bf16"), ("lwf", "bf16"), ("lucir", "bf16")],
)
def test_a_recorded_step_of_every_capturable_strategy_gives_the_numbers_of_a_plain_one(
    data: RunData, tmp_path: Path, name: str, precision: str
) -> None:
    options = {"device": DEVICE, "strategy": name, "precision": precision, **ENOUGH}
    recorded = run(data, tmp_path / "recorded", **options)
    plain = run(data, tmp_path / "plain", graph=False, **options)
    assert "run as a CUDA graph" in (recorded.folder / "log.txt").read_text()
    assert "do not run as CUDA graphs" in (plain.folder / "log.txt").read_text()
    assert recorded.fresh == plain.fresh
    # Atomic additions, in crops and attention, have no fixed order.
    tolerance = {"rel": 1e-3, "abs": 1e-3} if precision == "fp32" else {"rel": 0.05, "abs": 0.02}
    assert recorded.losses == pytest.approx(plain.losses, **tolerance)


def test_recorded_steps_are_exact_in_float32_where_kernels_are_deterministic(
    data: RunData, tmp_path: Path
) -> None:
    options = {"device": DEVICE, "precision": "fp32", "token_rrc": 1.0, **ENOUGH}
    with sdpa_kernel(SDPBackend.MATH):
        recorded = run(data, tmp_path / "recorded", **options)
        plain = run(data, tmp_path / "plain", graph=False, **options)
    assert recorded.losses == plain.losses


@pytest.mark.parametrize("optimizer", ["sgd", "sgd:momentum=0.9,nesterov=true"])
def test_recorded_steps_of_sgd_give_the_numbers_of_plain_ones(
    data: RunData, tmp_path: Path, optimizer: str
) -> None:
    options = {"device": DEVICE, "optimizer": optimizer, "learning_rate": 0.05, **ENOUGH}
    options |= {"precision": "fp32", "token_rrc": 1.0}
    recorded = run(data, tmp_path / "recorded", **options)
    plain = run(data, tmp_path / "plain", graph=False, **options)
    assert "run as a CUDA graph" in (recorded.folder / "log.txt").read_text()
    assert recorded.losses == pytest.approx(plain.losses, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("model", "train"),
    [("slim_resnet18", "all"), ("slim_resnet18", "last:1"), ("timm:test_resnet", "all")],
)
def test_recorded_steps_of_networks_with_batch_normalisation_give_the_numbers_of_plain_ones(
    data: RunData, tmp_path: Path, model: str, train: str
) -> None:
    options = {"device": DEVICE, "model": model, "train": train, "precision": "fp32", **ENOUGH}
    options |= {"learner": "pixels", "format": "raw", "memory_mb": 0.05, "pixel_rrc": 1.0}
    recorded = run(data, tmp_path / "recorded", **options)
    plain = run(data, tmp_path / "plain", graph=False, **options)
    assert "run as a CUDA graph" in (recorded.folder / "log.txt").read_text()
    assert recorded.losses == pytest.approx(plain.losses, rel=1e-2, abs=1e-2)
    for name, tensor in plain.network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert torch.equal(recorded.network.state_dict()[name], tensor)


def test_a_compiled_run_is_recorded_too(data: RunData, tmp_path: Path) -> None:
    compiled = run(data, tmp_path / "compiled", device=DEVICE, compile=True, **ENOUGH)
    assert "run as a CUDA graph" in (compiled.folder / "log.txt").read_text()


def test_gpu_memory_does_not_grow_from_experience_to_experience(tmp_path: Path) -> None:
    root = write_fractals(tmp_path / "fractals", 20, 16, 2, 64)
    config = RunConfig(
        data_root=root, device=DEVICE, experiences=20, batch=8, epochs=12, memory_mb=0.05
    )
    reserved: list[int] = []
    allocated: list[int] = []

    def measure(info: ExperienceInfo) -> None:
        torch.cuda.synchronize()
        reserved.append(torch.cuda.memory_reserved())
        allocated.append(torch.cuda.memory_allocated())

    Experiment(config, RunData(config), tmp_path / "run").run(on_experience=measure)
    assert len(reserved) == 20
    # The memory itself grows by a few exemplars: 20 classes of 16 token grids of 128 bytes.
    assert max(allocated[10:]) <= max(allocated[2:5]) + 10_000_000
    assert max(reserved[10:]) <= max(reserved[2:5]) + 40_000_000


@pytest.mark.parametrize("spec", ["tokens", "jpeg"])
def test_an_interrupted_run_ends_as_one_that_was_not(
    data: RunData, tmp_path: Path, spec: str
) -> None:
    options = {"device": DEVICE, "format": spec, **ENOUGH}
    whole = run(data, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "cut", stop_at=(1, 2), **options)
    assert (tmp_path / "cut" / "checkpoint.pt").exists()
    resumed = run(data, tmp_path / "cut", **options)
    assert resumed.fresh == whole.fresh[-len(resumed.fresh) :]
    assert resumed.losses == pytest.approx(whole.losses[-len(resumed.losses) :], rel=0.05, abs=0.02)
    assert resumed.row["final_accuracy"] == pytest.approx(whole.row["final_accuracy"], abs=0.05)
    assert (resumed.folder / "memory.bin").read_bytes() == (
        whole.folder / "memory.bin"
    ).read_bytes()


@pytest.mark.parametrize(
    "options",
    [{}, {"learner": "pixels", "format": "jpeg"}, {"format": "jpeg"}, {"graph": False}],
)
def test_no_step_waits_for_the_device(
    data: RunData, tmp_path: Path, options: dict[str, Any]
) -> None:
    def watch(now: StepInfo) -> None:
        # The first epochs set kernels up and record a step; an epoch's last step ends it.
        between = now.epoch >= 2 and 1 < now.step < now.steps
        torch.cuda.set_sync_debug_mode("error" if between else "default")

    config = RunConfig(
        **{
            "data_root": data.dataset.root,
            **OPTIONS,
            "device": DEVICE,
            "batch": 4,
            "epochs": 5,
            **options,
        }
    )
    Experiment(config, data, tmp_path / "run").run(on_step=watch)  # raises where a step waits


def test_bf16_is_the_precision_of_its_own_accord_and_learns(data: RunData, tmp_path: Path) -> None:
    options = {"device": DEVICE, **ENOUGH}
    chosen = run(data, tmp_path / "auto", precision="auto", **options)
    asked = run(data, tmp_path / "bf16", precision="bf16", **options)
    assert chosen.losses == pytest.approx(asked.losses, rel=0.05, abs=0.02)
    assert chosen.row["final_accuracy"] > 0.8
