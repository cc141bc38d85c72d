"""The study of pre-training: paired runs that differ in their first weights alone, and its page."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from seit_cl.core.errors import UserError
from seit_cl.data.fractals import write_fractals
from studies.plan import run_all
from studies.pretraining import study
from studies.pretraining.page import study_page


@pytest.fixture
def options(tmp_path: Path) -> study.Options:
    """Options on a folder of five classes; one learner and one seed."""
    root = write_fractals(tmp_path / "data", 5, 4, 2, 64)
    return study.Options(
        data_root=root,
        pretraining_data=root,
        out=tmp_path / "out",
        learner=("pixels",),
        seed=(0,),
        epochs=1,
        steps=2,
    )


def test_runs_of_a_pair_differ_in_their_first_weights_alone(options: study.Options) -> None:
    planned = list(study.cases(replace(options, learner=tuple(study.LEARNERS), seed=(0, 1))))
    assert len(planned) == 12
    for drawn, masked in zip(planned[::2], planned[1::2], strict=True):
        assert masked.config.init is not None
        assert replace(masked.config, init=None) == drawn.config
    orders = {case.config.seed: case.config.class_order_seed for case in planned}
    assert orders[0] != orders[1]


def test_unknown_learners_and_budgets_are_refused(options: study.Options) -> None:
    with pytest.raises(UserError, match="no such learner"):
        replace(options, learner=("token",))
    with pytest.raises(UserError, match="no codec is chosen"):
        replace(options, budgets=(0.3,))


def test_the_page_has_every_pair(options: study.Options) -> None:
    study.make_weights(options, "pixels", Console(quiet=True))
    run_all(list(study.cases(options)), options)
    page = study_page(options.out, {"pixels": "images, ViT on pixels"}, "command")
    assert "masked image modelling | 20 | 6.4 |" in page
    assert "| `pixels, masked` - `pixels, none` | 0.1 |" in page
