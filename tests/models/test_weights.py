"""--init: weights of our runs and of other files, checked before use; the head where it fits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from helpers.colour_stream import colours, run
from helpers.generators import generator
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.experiment.run_data import RunData
from seit_cl.models import ModelContext
from seit_cl.models._weights import read_weights, save_weights

CONTEXT = ModelContext("pixels", 3, 32)
NAMES = ["a", "b", "c"]


def network_of(spec: str = "slim_resnet18", classes: int = 3, seed: int = 0) -> Any:
    return plugins.build("model", spec, CONTEXT).new_network(classes, generator(seed))


def equal_bodies(first: nn.Module, second: nn.Module) -> bool:
    theirs = second.state_dict()
    own = [name for name in first.state_dict() if not name.startswith("head.")]
    return all(torch.equal(first.state_dict()[name], theirs[name]) for name in own)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.mark.parametrize("spec", ["micro", "slim_resnet18", "timm:test_resnet"])
def test_saved_weights_come_back_with_the_head_of_the_same_classes(
    tmp_path: Path, spec: str
) -> None:
    saved = network_of(spec)
    nn.init.normal_(saved.head.weight, generator=generator(4))
    save_weights(tmp_path / "model.safetensors", saved, NAMES, spec)
    same = network_of(spec, seed=1)
    assert "head loaded too" in read_weights(tmp_path).load(same, spec, NAMES)
    assert equal_bodies(same, saved)
    assert torch.equal(same.head.weight, saved.head.weight)
    others = network_of(spec, classes=2, seed=1)
    before = others.head.weight.clone()
    assert "head left out (its 3 classes are others" in read_weights(tmp_path).load(
        others, spec, ["a", "d"]
    )
    assert equal_bodies(others, saved)
    assert torch.equal(others.head.weight, before)


@pytest.mark.parametrize("nested", ["", "state_dict", "model"])
def test_a_state_dict_of_torch_is_loaded_without_its_head(tmp_path: Path, nested: str) -> None:
    source = network_of(seed=2)
    state = {f"module.{name}": tensor for name, tensor in source.state_dict().items()}
    state = {name.replace("head.", "fc."): tensor for name, tensor in state.items()}
    torch.save({nested: state, "epoch": 3} if nested else state, tmp_path / "x.pth")
    network = network_of()
    line = read_weights(tmp_path / "x.pth").load(network, "slim_resnet18", NAMES)
    assert line.endswith("head left out (the file does not name its classes)")
    assert equal_bodies(network, source)


def test_other_projects_names_of_shortcuts_and_heads_are_known(tmp_path: Path) -> None:
    source = network_of(seed=2)
    state = {}
    for name, tensor in source.state_dict().items():
        state[name.replace("downsample", "shortcut").replace("head", "linear")] = tensor
    save_file(state, tmp_path / "x.safetensors")
    network = network_of()
    read_weights(tmp_path / "x.safetensors").load(network, "slim_resnet18")
    assert equal_bodies(network, source)


def test_timms_own_files_fit_timms_networks(tmp_path: Path) -> None:
    import timm

    theirs = timm.create_model("test_resnet", num_classes=1000)
    save_file(theirs.state_dict(), tmp_path / "timm.safetensors")
    ours = network_of(f"timm:test_resnet,weights={tmp_path / 'timm.safetensors'}").eval()
    assert torch.equal(
        ours.body.state_dict()["conv1.0.weight"], theirs.state_dict()["conv1.0.weight"]
    )
    images = torch.rand(2, 3, 32, 32, generator=generator())
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    given = (images - mean[:, None, None]) / std[:, None, None]
    theirs.reset_classifier(0)
    expected = theirs.eval()((images - 0.5) / 0.5)  # the normalisation of this network
    assert torch.allclose(ours.features(given), expected, atol=1e-4)


@pytest.mark.parametrize("spec", ["micro", "timm:test_vit,img_size=64"])
def test_a_vits_position_embedding_is_resampled_to_another_size(tmp_path: Path, spec: str) -> None:
    larger = ModelContext("pixels", 3, 64)
    source = plugins.build("model", spec, larger).new_network(3, generator(2))
    save_weights(tmp_path / "x.safetensors", source, NAMES, spec)
    network = network_of(spec.replace("64", "32"))
    read_weights(tmp_path / "x.safetensors").load(network, spec)
    name = next(name for name in source.state_dict() if name.endswith("pos_embed"))
    before, after = source.state_dict()[name], network.state_dict()[name]
    assert before.shape[1] > after.shape[1]
    assert torch.allclose(before.mean(1), after.mean(1), atol=0.02)


REFUSED: dict[str, tuple[Any, str]] = {
    "another width": (
        lambda: network_of("slim_resnet18:width=24").state_dict(),
        r"not the weights of --model slim_resnet18: conv1.weight is \(24, 3, 3, 3\) there and "
        r"\(20, 3, 3, 3\) here",
    ),
    "another model": (
        lambda: network_of("micro").state_dict(),
        "not the weights of --model slim_resnet18: it has no conv1.weight",
    ),
    "more": (
        lambda: network_of().state_dict() | {"layer5.0.conv1.weight": torch.zeros(1)},
        "it has layer5.0.conv1.weight, and the model has no such tensor",
    ),
    "nothing": (lambda: {"epoch": 3}, "holds no weights"),
    "an object": (lambda: {"state_dict": Path("x")}, "pickled object"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_does_not_fit_is_refused_in_a_line(tmp_path: Path, case: str) -> None:
    content, message = REFUSED[case]
    path = tmp_path / "x.pt"
    torch.save(content(), path)
    with pytest.raises(UserError, match=message) as refused:
        read_weights(path).check(network_of(), "slim_resnet18")
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_missing_and_damaged_files_are_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file of weights"):
        read_weights(tmp_path / "absent.safetensors")
    with pytest.raises(UserError, match="holds no weights; run it with --save-model"):
        read_weights(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(UserError, match="not a readable safetensors file"):
        read_weights(tmp_path / "x.safetensors")


def test_a_run_starts_from_the_weights_of_another(data: RunData, tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": "micro", "epochs": 3, "learning_rate": 1e-3}
    first = run(data, tmp_path / "first", save_model=True, **options)
    warm = run(
        data, tmp_path / "warm", init=first.folder, train="head", strategy="naive", **options
    )
    assert equal_bodies(warm.network, first.network)
    assert not torch.equal(warm.network.head.weight, first.network.head.weight)
    log = (warm.folder / "log.txt").read_text()
    assert "--init model.safetensors: 53 tensors loaded; head loaded too" in log
    cold = run(data, tmp_path / "cold", train="head", strategy="naive", **options)
    assert warm.losses[0] < cold.losses[0]


def test_a_run_refuses_weights_of_another_model_before_it_starts(
    data: RunData, tmp_path: Path
) -> None:
    save_file(network_of().state_dict(), tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="not the weights of --model micro: it has no pos_embed"):
        run(data, tmp_path / "run", init=tmp_path / "x.safetensors")
    assert not (tmp_path / "run").exists()


def test_an_unfinished_run_gives_its_weights_too(data: RunData, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "stopped", stop_at=(1, 1))
    options: dict[str, Any] = {"init": tmp_path / "stopped", "train": "head"}
    ended = run(data, tmp_path / "run", **options)
    log = (ended.folder / "log.txt").read_text()
    assert "--init checkpoint.pt: 53 tensors loaded; head loaded too" in log
    other_order = run(data, tmp_path / "other", class_order_seed=7, **options)
    log = (other_order.folder / "log.txt").read_text()
    assert "53 tensors loaded; head left out (its 4 classes are others, or in another order)" in log
