"""The format auto: a kind of image file, its quality and its side, chosen once for a budget."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.random_samples import CONTEXT, samples
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import build_format, canonical_spec
from seit_cl.formats._quality import CANDIDATES, replay_error
from seit_cl.formats.auto import AutoFormat
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.results.run_files import read_run

COUNT = 20
SPECS = ["auto", "auto:kinds=jpeg+webp,sides=100+50"]


def shrunk(images: Tensor) -> Tensor:
    """Features of images (B, 3, S, S): their 4 x 4 pixel averages, of unit length."""
    small = torch.nn.functional.adaptive_avg_pool2d(images.float() - 127.5, 4)
    return torch.nn.functional.normalize(small.flatten(1), dim=1)


def fitted(spec: str, budget: int) -> ByteBudgetBuffer:
    """A memory whose format is chosen for COUNT samples."""
    memory = ByteBudgetBuffer(budget, build_format(spec, CONTEXT), CONTEXT)
    memory.fit(samples(COUNT), shrunk)
    return memory


@pytest.mark.parametrize("spec", SPECS)
def test_the_choice_is_counted_saved_and_restored(spec: str, tmp_path: Path) -> None:
    memory = fitted(spec, 20_000)
    memory.offer(samples(60))
    memory.save(tmp_path / "memory.bin")
    assert os.path.getsize(tmp_path / "memory.bin") == memory.used_bytes <= 20_000
    loaded = ByteBudgetBuffer.load(tmp_path / "memory.bin")
    assert isinstance(loaded.fmt, AutoFormat)
    assert not loaded.fmt.unfitted
    assert (loaded.fmt.chosen, loaded.fmt.spec) == (memory.fmt.chosen, memory.fmt.spec)
    named = build_format(memory.fmt.chosen, CONTEXT)
    assert torch.equal(named.encode(samples(5)).data, loaded.fmt.encode(samples(5)).data)
    assert memory.bytes_by_kind()["side_info"] == 4 + len(named.side_info)
    contents = []
    for each in (memory, loaded):
        each.offer(samples(90)[60:])
        each.save(tmp_path / "later.bin")
        contents.append((tmp_path / "later.bin").read_bytes())
    assert contents[0] == contents[1]


def test_the_choice_has_the_least_error_of_all_candidates() -> None:
    memory = fitted("auto:kinds=jpeg_scan+webp", 3000)
    fmt = memory.fmt
    assert isinstance(fmt, AutoFormat)
    some = samples(COUNT)
    fresh = shrunk(some.pixels())
    errors = {}
    for kind in ("jpeg_scan", "webp"):
        for quality in CANDIDATES:
            spec = f"{kind}:quality={quality}"
            alone = build_format(spec, CONTEXT)
            records = alone.encode(some)
            length = round(float(records.lengths.double().mean()))
            capacity = 3000 - memory.bytes_by_kind()["header"] - 4
            label_and_length = 2 + (length > 127)
            count = capacity / (length + label_and_length) / CONTEXT.classes
            decoded = shrunk(alone.decode(records))
            errors[spec] = replay_error(decoded, fresh, some.labels, count)
    assert errors[fmt.chosen] == min(errors.values())


def test_a_second_fit_changes_nothing() -> None:
    memory = fitted("auto:kinds=jpeg_scan", 20_000)
    before = memory.fmt.side_info
    memory.fmt.fit(samples(10), lambda images: -shrunk(images), lambda length: 1.0)
    assert memory.fmt.side_info == before


def test_specs_that_mean_the_same_have_one_spelling() -> None:
    assert canonical_spec("auto") == canonical_spec(build_format("auto", CONTEXT).spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("auto:kinds=jpeg+raw", "kinds=jpeg[+]raw: raw has no quality"),
        ("auto:kinds=webp+webp", "webp is named twice"),
        ("auto:kinds=jpg", "unknown format"),
        ("auto:sides=0", "'0' is no percentage"),
        ("auto:sides=100+half", "'half' is no percentage"),
    ],
)
def test_choices_that_cannot_be_are_refused_by_name(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_format(spec, CONTEXT)


@pytest.mark.parametrize(
    "saved", [b"", b"\x09\x05\x20\x00", b"\x01\x05\x99\x00", b"\x01\xff\x20\x00"]
)
def test_a_damaged_choice_is_refused(saved: bytes) -> None:
    fmt = build_format("auto", CONTEXT)
    with pytest.raises(ValueError, match=r"auto:|quality=255"):
        fmt.side_info = saved


@pytest.mark.slow
def test_a_run_records_its_choice_and_resumes_with_it(fractals: Path, tmp_path: Path) -> None:
    config = RunConfig(
        data_root=fractals,
        experiences=2,
        epochs=1,
        format="auto:kinds=jpeg_scan+webp_scan",
        memory_mb=0.004,
        batch=16,
        replay_batch=8,
        device="cpu",
    )
    data = RunData(config)
    whole = Experiment(config, data, tmp_path / "whole")
    whole.run()
    assert whole.memory is not None
    chosen = read_run(tmp_path / "whole").metadata["format_chose"]
    assert chosen == whole.memory.fmt.chosen
    assert f"chose {chosen}" in (tmp_path / "whole" / "log.txt").read_text()

    def interrupt(info: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Experiment(config, data, tmp_path / "part").run(on_experience=interrupt)
    Experiment(replace(config), data, tmp_path / "part").run()
    for name in ("memory.bin", "accuracy.csv"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
