"""quality=auto: chosen once for a budget from decoded images, and stored with the memory."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.random_samples import CONTEXT, samples
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import build_format, canonical_spec
from seit_cl.formats._quality import CANDIDATES, replay_error
from seit_cl.memory import ByteBudgetBuffer

NAMES = ["jpeg", "jpeg_scan", "webp", "webp_scan", "avif", "jxl"]


def shrunk(images: Tensor) -> Tensor:
    """Features of images (B, 3, S, S): their 4 x 4 pixel averages, of unit length."""
    small = torch.nn.functional.adaptive_avg_pool2d(images.float() - 127.5, 4)
    return torch.nn.functional.normalize(small.flatten(1), dim=1)


def clusters(noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features (200, 40) around 4 class means, in turn, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(200) % 4
    means = torch.randn(4, 40, generator=generator)
    features = means[labels] + noise * torch.randn(200, 40, generator=generator)
    return torch.nn.functional.normalize(features, dim=1), labels


@pytest.mark.parametrize("name", NAMES)
def test_auto_is_written_in_the_spec_and_refused_for_encoding_before_it_is_chosen(
    name: str,
) -> None:
    assert canonical_spec(f"{name}:quality=auto").partition("quality=")[2].startswith("auto")
    fmt = build_format(f"{name}:quality=auto", CONTEXT)
    assert fmt.unfitted
    assert fmt.spec.startswith(f"{name}:quality=auto")
    assert fmt.side_info == b"\0"
    with pytest.raises(ValueError, match="fitted before the first offer"):
        ByteBudgetBuffer(100_000, fmt, CONTEXT).offer(samples(20))


@pytest.mark.parametrize("name", NAMES)
def test_the_chosen_quality_is_counted_saved_and_restored(name: str, tmp_path: Path) -> None:
    memory = ByteBudgetBuffer(20_000, build_format(f"{name}:quality=auto", CONTEXT), CONTEXT)
    memory.fit(samples(30), shrunk)
    assert memory.fmt.chosen == f"quality={memory.fmt.quality}"
    assert memory.fmt.quality in CANDIDATES
    memory.offer(samples(60))
    memory.save(tmp_path / "memory.bin")
    assert os.path.getsize(tmp_path / "memory.bin") == memory.used_bytes
    assert memory.bytes_by_kind()["side_info"] == 1
    loaded = ByteBudgetBuffer.load(tmp_path / "memory.bin")
    assert loaded.fmt.chosen == memory.fmt.chosen
    assert loaded.fmt.spec == memory.fmt.spec
    named = build_format(f"{name}:{memory.fmt.chosen}", CONTEXT)
    assert torch.equal(named.encode(samples(5)).data, loaded.fmt.encode(samples(5)).data)


def test_choosing_twice_changes_nothing() -> None:
    memory = ByteBudgetBuffer(20_000, build_format("jpeg:quality=auto", CONTEXT), CONTEXT)
    memory.fit(samples(30), shrunk)
    before = memory.fmt.quality
    memory.fit(samples(10), lambda images: -shrunk(images))
    assert memory.fmt.quality == before


def test_a_quality_that_is_named_is_not_chosen() -> None:
    fmt = build_format("jpeg:quality=30", CONTEXT)
    assert not fmt.unfitted
    assert fmt.chosen == ""
    assert fmt.side_info == b""
    with pytest.raises(ValueError, match="is no quality"):
        fmt.side_info = b"\x1e"


@pytest.mark.parametrize("text", ["automatic", "", "7.5"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="quality="):
        build_format(f"jpeg:quality={text}", CONTEXT)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 39), st.floats(0.1, 2.0))
def test_more_exemplars_of_every_class_are_worth_more(count: int, noise: float) -> None:
    features, labels = clusters(noise)
    few = replay_error(features, features, labels, 1)
    many = replay_error(features, features, labels, 40)
    assert many < few
    whole = replay_error(features, features, labels, count)
    assert replay_error(features, features, labels, count + 0.5) == whole


def test_images_that_have_moved_away_are_worth_less_than_ones_that_have_not() -> None:
    features, labels = clusters(0.5)
    shift = 0.5 * torch.randn(40, generator=torch.Generator().manual_seed(1))
    moved = torch.nn.functional.normalize(features + shift, dim=1)
    unmoved_error = replay_error(features, features, labels, 10)
    assert replay_error(moved, features, labels, 10) > unmoved_error


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.99))
def test_less_than_one_exemplar_a_class_lies_between_one_and_none(share: float) -> None:
    features, labels = clusters(0.3)
    one = replay_error(features, features, labels, 1)
    assert min(one, 0.75) <= replay_error(features, features, labels, share) <= max(one, 0.75)


@pytest.mark.parametrize(
    ("spec", "chosen"), [("jpeg:quality=auto", "quality=25"), ("auto", "jpeg_scan:quality=25")]
)
def test_a_single_class_leaves_nothing_to_choose_by(spec: str, chosen: str) -> None:
    memory = ByteBudgetBuffer(20_000, build_format(spec, CONTEXT), CONTEXT)
    of_one_class = samples(30)
    memory.fit(replace(of_one_class, labels=torch.zeros_like(of_one_class.labels)), shrunk)
    assert memory.fmt.chosen == chosen


@pytest.mark.slow
def test_a_run_chooses_for_its_budget_and_resumes_with_it(fractals: Path, tmp_path: Path) -> None:
    config = RunConfig(
        data_root=fractals,
        experiences=2,
        epochs=1,
        format="jpeg_scan:quality=auto",
        batch=16,
        replay_batch=8,
    )
    chosen = {}
    for budget in (0.002, 0.2):
        experiment = Experiment(
            replace(config, memory_mb=budget), RunData(config), tmp_path / f"{budget}"
        )
        experiment.run()
        assert experiment.memory is not None
        chosen[budget] = experiment.memory.fmt.quality
        assert experiment.metadata()["format_chose"] == f"quality={chosen[budget]}"
        assert f"chose quality={chosen[budget]}" in (tmp_path / f"{budget}" / "log.txt").read_text()
    assert chosen[0.002] < chosen[0.2]  # 80 images: all fit at any quality in the larger one
