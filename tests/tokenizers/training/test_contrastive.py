"""The teacher: features learnt without labels, seeds and resuming."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.data.fractals import render
from seit_cl.tokenizers.training.contrastive import (
    TeacherProgress,
    TeacherSettings,
    TeacherTraining,
    change_colours,
    contrastive_loss,
    grey,
)


def training(steps: int, seed: int = 0) -> TeacherTraining:
    """A teacher's training on sixteen fractals over that many steps."""
    fractals, _ = render(16, 1, 32, 0, "train")
    return TeacherTraining(fractals, TeacherSettings(1.0, steps, batch=16, seed=seed))


def test_the_loss_is_that_of_finding_the_other_view_of_every_view() -> None:
    views = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    unit = F.normalize(views, dim=1)
    expected = []
    for own in range(6):
        others = [view for view in range(6) if view != own]
        similarities = torch.stack([unit[own] @ unit[view] / 0.2 for view in others])
        partner = others.index((own + 3) % 6)
        expected.append(-similarities.log_softmax(0)[partner])
    assert torch.isclose(contrastive_loss(views), torch.stack(expected).mean(), atol=1e-6)


def test_the_loss_falls() -> None:
    reports: list[TeacherProgress] = []
    training(51).run(reports.append)
    assert [report.step for report in reports] == [0, 50]
    assert reports[-1].loss < 0.9 * reports[0].loss


def test_features_have_no_mean_and_do_not_depend_on_mirroring() -> None:
    teacher = training(3)
    teacher.run()
    features = teacher.features()
    assert features.shape == (16, 192)
    assert torch.allclose(features.mean(0), torch.zeros(192), atol=1e-5)
    teacher.images = teacher.images.flip(3)
    assert torch.allclose(teacher.features(), features, atol=1e-5)


def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    whole = training(6)
    whole.run()
    stopped = training(6)
    for _ in range(3):
        stopped.set_learning_rate(stopped.fraction)
        stopped.train_step()
    stopped.save(tmp_path / "teacher")
    resumed = training(6)
    resumed.run(checkpoint=tmp_path / "teacher")
    for name, tensor in whole.teacher.state_dict().items():
        assert torch.equal(tensor, resumed.teacher.state_dict()[name]), name


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    training(6).save(tmp_path / "teacher")
    with pytest.raises(UserError, match="of a training with other options or images"):
        training(6, seed=1).run(checkpoint=tmp_path / "teacher")


def test_middling_numbers_change_no_colours_and_others_keep_grey_grey() -> None:
    view = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    half = torch.full((2, 1, 1, 1), 0.5)
    none = torch.zeros(2, 3, 1, 1)
    assert torch.allclose(change_colours(view, half, half, half, none), view, atol=1e-6)
    flat = grey(view).expand(-1, 3, -1, -1)
    changed = change_colours(flat, 0 * half, half, half, none)
    assert torch.allclose(changed, flat, atol=1e-6)
