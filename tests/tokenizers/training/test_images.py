"""Training images of tokenizers: a labelled folder, labelled fractals and unlabelled tiles."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.fractals import write_fractals
from seit_cl.data.images import load_images
from seit_cl.tokenizers.training.class_head import UNLABELLED
from seit_cl.tokenizers.training.images import cut_tiles, find_images, training_images


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fractals(tmp_path_factory.mktemp("data") / "tiny", 2, 4, 2, 32)


def test_fractals_count_their_classes_after_the_folders_and_tiles_have_none(root: Path) -> None:
    images, labels, held_out = training_images(root, 32, 3, root / "val")
    assert images.shape == (8 + 3 + 4 * 20, 3, 32, 32)
    assert held_out.shape == (4, 3, 32, 32)
    assert labels[:8].tolist() == [0] * 4 + [1] * 4
    assert labels[8:11].tolist() == [2, 3, 4]
    assert (labels[11:] == UNLABELLED).all()
    assert training_images(root, 32, 0, None)[0].shape == (8, 3, 32, 32)


def joined(tiles: Tensor, side: int) -> Tensor:
    """The image (3, H, W) of side x side tiles (N, 3, h, w), row by row."""
    rows = [torch.cat(list(row), 2) for row in tiles.split(side)]
    return torch.cat(rows, 1)


def test_tiles_put_together_are_the_photo(root: Path) -> None:
    path = find_images(root / "val")[0]
    cut = torch.empty(20, 3, 16, 16, dtype=torch.uint8)
    cut_tiles([path], cut)
    assert torch.equal(joined(cut[:4], 2), load_images([path], 32)[0])
    assert torch.equal(joined(cut[4:], 4), load_images([path], 64)[0])


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no images there"):
        find_images(tmp_path)
