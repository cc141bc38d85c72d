"""Images that a list names are left out of both splits, and the rest of a dataset stays."""

from pathlib import Path

import pytest

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.folder import open_folder
from seit_cl.data.fractals import write_fractals
from seit_cl.data.leave_out import leave_out
from seit_cl.experiment.run_data import open_dataset
from seit_cl.tokenizers.training.images import training_images


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fractals(tmp_path_factory.mktemp("data") / "tiny", 2, 3, 2, 32)


def write_list(path: Path, *names: str) -> Path:
    path.write_text("\n".join(["# images of another data set", "", *names, "train/c9/none.png"]))
    return path


def test_listed_images_are_gone_and_the_others_keep_their_labels(
    root: Path, tmp_path: Path
) -> None:
    whole = open_folder(root)
    train, val = whole.train.images[4].name, whole.val.images[0].name
    rest = leave_out(whole, write_list(tmp_path / "list.txt", train, val))
    names = [image.name for image in whole.train.images]
    assert [image.name for image in rest.train.images] == names[:4] + names[5:]
    assert rest.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert rest.val.labels.tolist() == [0, 1, 1]
    assert rest.classes == whole.classes
    assert rest.identity != whole.identity


def test_runs_and_tokenizers_leave_the_same_images_out(root: Path, tmp_path: Path) -> None:
    names = write_list(tmp_path / "list.txt", open_folder(root).train.images[0].name)
    dataset = open_dataset(RunConfig(data_root=root, leave_out=str(names)))
    assert len(dataset.train) == 5
    images, labels, _ = training_images(root, 32, 0, None, names)
    assert len(images) == 5
    assert labels.tolist() == [0, 0, 1, 1, 1]


def test_a_list_that_leaves_nothing_out_or_a_class_empty_is_refused(
    root: Path, tmp_path: Path
) -> None:
    whole = open_folder(root)
    with pytest.raises(UserError, match="names no image"):
        leave_out(whole, write_list(tmp_path / "list.txt"))
    with pytest.raises(UserError, match="cannot be read"):
        leave_out(whole, tmp_path / "missing.txt")
    first_class = [image.name for image in whole.train.images[:3]]
    with pytest.raises(UserError, match="without readable images"):
        leave_out(whole, write_list(tmp_path / "list.txt", *first_class))
