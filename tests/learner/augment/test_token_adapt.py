"""TokenAdapt and ColorAdapt: changes of features, chosen images, and files that are checked."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.generators import generator
from helpers.numbers import drawn
from seit_cl.core.errors import UserError
from seit_cl.learner.augment.settings import TokenAugmentOptions
from seit_cl.learner.augment.token_adapt import (
    TokenAdapter,
    affine_matrices,
    channel_statistics,
    restyle,
    warp,
)
from seit_cl.learner.augment.token_adapt_file import KIND, read_adapter, save_adapter
from seit_cl.learner.augment.tokens import MISSING, TokenAugment

CODEBOOK = torch.randn(2, 20, 4, generator=generator(5))
OTHERS_OFF = {"flip_p": 0.0, "token_rrc": 1.0, "synonym_p": 0.0, "swap_p": 0.0, "noise_p": 0.0}


def adapter() -> TokenAdapter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = TokenAdapter(4, 2, 20, width=8, styles=5)
    made.keep_styles(torch.randn(5, 4, 8, 8, generator=generator(1)))
    return made.requires_grad_(False)


def augment(**options: float) -> TokenAugment:
    chosen = TokenAugmentOptions(**{**OTHERS_OFF, **options})  # type: ignore[arg-type]
    return TokenAugment(CODEBOOK, "sum", chosen, 8, adapter=adapter())


def tokens(count: int = 40) -> torch.Tensor:
    return torch.randint(20, (count, 2, 8, 8), generator=generator(2))


def test_the_middle_of_all_numbers_changes_nothing_and_the_ends_are_the_largest_changes() -> None:
    matrices = affine_matrices(torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.5, 0.5], [0.5, 1.0, 0.5]]))
    values = torch.randn(3, 2, 8, 8, generator=generator())
    torch.testing.assert_close(warp(values, matrices)[0], values[0])
    torch.testing.assert_close(matrices[1, 1, 0], torch.tensor(0.5))  # sine of 30 degrees
    torch.testing.assert_close(matrices[2, 0, 1], torch.tensor(0.3))


def test_a_quarter_turn_turns_an_image_and_its_grid_alike() -> None:
    turn = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    grid = torch.randn(1, 2, 8, 8, generator=generator())
    image = grid.repeat_interleave(4, 2).repeat_interleave(4, 3)
    turned = warp(grid, turn, "nearest")
    assert any(torch.equal(turned, grid.rot90(way, (2, 3))) for way in (1, 3))
    expected = turned.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert torch.equal(warp(image, turn, "nearest"), expected)


def test_a_style_replaces_mean_and_deviation_of_every_channel() -> None:
    features = torch.randn(3, 6, 8, 8, generator=generator(0))
    style = channel_statistics(3 + 2 * torch.randn(3, 6, 8, 8, generator=generator(1)))
    whole = restyle(features, style, torch.ones(3))
    torch.testing.assert_close(channel_statistics(whole), style)
    torch.testing.assert_close(restyle(features, style, torch.zeros(3)), features)


def test_about_the_chosen_share_of_images_is_changed_and_no_other() -> None:
    module = augment(warp_p=0.5, recolour_p=0.0)
    grids = tokens(200)
    numbers = drawn(module, grids, generator(3))
    chosen = numbers["warp"][:, 0] < 0.5
    rows = module.rows(grids)
    same = (module.adapt(rows, numbers) == rows).flatten(1).all(1)
    assert 70 < int(chosen.sum()) < 130
    assert torch.equal(same, ~chosen)


@pytest.mark.parametrize("options", [{"warp_p": 1.0}, {"recolour_p": 1.0, "warp_p": 0.0}])
def test_changed_grids_have_codes_of_the_codebook(options: dict[str, float]) -> None:
    module = augment(**options)
    rows = module.rows(tokens())
    adapted = module.adapt(rows, drawn(module, tokens(), generator(4))) - module.first_rows
    assert int(adapted.min()) >= 0
    assert int(adapted.max()) < 20
    inputs = module(tokens(), drawn(module, tokens(), generator(4)))
    assert inputs.shape == (40, 4, 8, 8)


def test_missing_levels_stay_missing() -> None:
    module = augment(warp_p=1.0)
    grids = tokens()
    grids[::2, 1] = MISSING
    rows = module.rows(grids)
    adapted = module.adapt(rows, drawn(module, grids, generator(4)))
    assert torch.equal(adapted == module.missing_row, rows == module.missing_row)
    assert not torch.equal(adapted[::2, 0], rows[::2, 0])


def test_without_a_map_or_a_probability_no_number_is_drawn() -> None:
    plain = TokenAugment(CODEBOOK, "sum", crop=8)
    off = TokenAugmentOptions(warp_p=0.0, recolour_p=0.0)
    module = TokenAugment(CODEBOOK, "sum", off, 8, adapter=adapter())
    shape = tokens().shape[1:]
    assert module.layout(shape) == plain.layout(shape)
    numbers = drawn(plain, tokens(), generator(6))
    assert torch.equal(module(tokens(), numbers), plain(tokens(), numbers))


def test_a_file_gives_the_same_map(tmp_path: Path) -> None:
    path = tmp_path / "map.safetensors"
    save_adapter(path, adapter(), "abc", {"steps": 3})
    read = read_adapter(path, "abc", 4, 2, 20)
    for name, tensor in adapter().state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor), name
    assert not any(parameter.requires_grad for parameter in read.parameters())


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "map.safetensors"
    with pytest.raises(UserError, match="no such file"):
        read_adapter(path, "abc", 4, 2, 20)
    save_adapter(path, adapter(), "abc", {})
    with pytest.raises(UserError, match="maps tokens of the tokenizer abc"):
        read_adapter(path, "abd", 4, 2, 20)
    with pytest.raises(UserError, match=r"decoder\.4\.bias does not fit"):
        read_adapter(path, "abc", 4, 2, 21)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        read_adapter(path, "abc", 4, 2, 20)
    path.write_bytes(b"no tensors")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        read_adapter(path, "abc", 4, 2, 20)


@pytest.mark.parametrize("change", ["nan", "missing", "more", "other kind"])
def test_tensors_of_other_shapes_and_values_are_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "map.safetensors"
    save_adapter(path, adapter(), "abc", {})
    tensors = load_file(path)
    if change == "nan":
        tensors["styles"][0, 0, 0] = torch.nan
    elif change == "missing":
        del tensors["encoder.0.weight"]
    elif change == "more":
        tensors["more"] = torch.zeros(1)
    kind = "other" if change == "other kind" else KIND
    save_file(tensors, path, {"kind": kind, "tokenizer_identity": "abc"})
    with pytest.raises(UserError, match=r"does not fit|no map of tokens"):
        read_adapter(path, "abc", 4, 2, 20)
