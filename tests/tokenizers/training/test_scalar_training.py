"""Training without a codebook: learning, seeds, resuming, files, and the command."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from sklearn.datasets import load_sample_images

from helpers.tokenizer_samples import images, scalar
from helpers.training_clock import count_minutes_as_steps
from seit_cl.core.errors import UserError
from seit_cl.formats._packing import code_bits
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer, load_tokenizer
from seit_cl.tokenizers.commands.options import Train
from seit_cl.tokenizers.commands.train import initial_model, train_command
from seit_cl.tokenizers.nets.scalar_autoencoder import ScalarAutoencoder
from seit_cl.tokenizers.training.trainer import Trainer, TrainingProgress, TrainingSettings

LABELS = torch.arange(16) % 3
SPECS = ("fsq:4,3,3", "bsq:18")


@pytest.fixture
def minutes_are_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    count_minutes_as_steps(monkeypatch)


def trainer(quantiser: str, steps: int, seed: int = 0) -> Trainer:
    """A training of a small autoencoder over that many steps, where `minutes_are_steps`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ScalarAutoencoder(quantiser, width=16, depth=1)
    settings = TrainingSettings(steps, batch=4, crop=16, seed=seed, supervision=0.1)
    return Trainer(model, images(16, 32), LABELS, settings)


@pytest.mark.usefixtures("minutes_are_steps")
@pytest.mark.parametrize("spec", SPECS)
def test_the_loss_falls_and_the_picture_clears(spec: str) -> None:
    reports: list[TrainingProgress] = []
    made = trainer(spec, 51)
    made.run(reports.append)
    assert reports[-1].loss < reports[0].loss
    assert reports[-1].psnr > reports[0].psnr
    groups, codes, _ = made.model.codebooks.shape
    assert 0 < reports[-1].codes_alive <= groups * codes


@pytest.mark.usefixtures("minutes_are_steps")
def test_one_seed_gives_one_tokenizer_and_another_seed_another() -> None:
    identities = []
    for seed in (1, 1, 2):
        made = trainer("bsq:18", 3, seed)
        made.run()
        identities.append(VQAETokenizer(made.model).identity)
    assert identities[0] == identities[1] != identities[2]


@pytest.mark.usefixtures("minutes_are_steps")
def test_an_interrupted_training_goes_on_as_one_that_was_not(tmp_path: Path) -> None:
    whole, cut, resumed = (trainer("bsq:18", 8) for _ in range(3))
    for made in (whole, cut):
        for _ in range(3):
            made.train_step()
    cut.save(tmp_path / "x.training")
    resumed.load(tmp_path / "x.training")
    for made in (whole, resumed):
        for _ in range(3):
            made.train_step()
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], weight), name
    assert torch.equal(resumed.coding.state()["uses"], whole.coding.state()["uses"])
    with pytest.raises(UserError, match="other options"):
        trainer("bsq:16", 8).load(tmp_path / "x.training")


@pytest.mark.slow
def test_the_losses_compile_whole_and_stay_what_they_are() -> None:
    made = trainer("bsq:18", 1)
    batch = made.draw_batch()
    compiled = torch.compile(made.compute_loss, backend="aot_eager", fullgraph=True)
    for ours, theirs in zip(made.compute_loss(*batch), compiled(*batch), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("spec", SPECS)
def test_a_file_has_the_networks_and_the_spec_and_no_codebook(spec: str, tmp_path: Path) -> None:
    made = scalar(spec)
    made.save(tmp_path / "x.safetensors")
    with safe_open(str(tmp_path / "x.safetensors"), framework="pt") as file:
        assert json.loads(file.metadata()["config"])["quantiser"] == spec
        assert {name.split(".")[0] for name in file.keys()} == {"encoder", "decoder"}  # noqa: SIM118
    opened = open_tokenizer(str(tmp_path / "x.safetensors"))
    assert opened.identity == made.identity
    assert torch.equal(opened.codebook, made.codebook)
    batch = images(4, 64)
    assert torch.equal(opened.encode(batch), made.encode(batch))
    with pytest.raises(UserError, match=r"levels=2, but it has 1"):
        open_tokenizer(f"bundled:{tmp_path / 'x.safetensors'},levels=2")


def test_the_identity_changes_with_the_quantiser_alone() -> None:
    one = scalar("fsq:4,4")
    other = ScalarAutoencoder("fsq:8,2", width=16, depth=1)
    other.load_state_dict(one.model.state_dict())
    assert VQAETokenizer(other).identity != one.identity


@pytest.mark.parametrize("quantiser", ["fsq:9999", "colour", 3, "fsq:4,4,4"])
def test_a_file_of_another_quantiser_is_refused(quantiser: object, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    made = scalar("fsq:4,4")
    config = dict(made.model.config)
    made.model.config["quantiser"] = quantiser
    try:
        made.save(path)
    finally:
        made.model.config.update(config)
    with pytest.raises(UserError, match=r"x\.safetensors"):
        load_tokenizer(path)


@pytest.mark.parametrize(
    "change",
    [
        {"quantiser": "fsq:8"},
        {"quantiser": "bsq:13"},
        {"quantiser": "fsq:4,4", "levels": 2},
        {"quantiser": "fsq:4,4", "start": "bundled"},
        {"quantiser": "fsq:4,4", "architecture": "vit-vqgan"},
    ],
)
def test_the_command_refuses_what_does_not_fit(change: dict[str, object], tmp_path: Path) -> None:
    options = Train(data_root=tmp_path, out=tmp_path / "x.safetensors", **change)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^--quantiser"):
        train_command(options)


def test_levels_are_not_added_to_a_tokenizer_without_a_codebook(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    scalar("fsq:4,4").save(path)
    options = Train(data_root=tmp_path, out=tmp_path / "y.safetensors", levels=2, start=str(path))
    with pytest.raises(UserError, match="with a codebook"):
        initial_model(options)


def photo_tiles(root: Path) -> Path:
    """An image folder of tiles of 64 px of the photographs in scikit-learn."""
    for photo in load_sample_images().images:
        for number in range(60):
            row, column = divmod(number, 10)
            tile = photo[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
            folder = root / ("val" if number % 10 == 0 else "train") / "tiles"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(tile).save(folder / f"{len(list(folder.iterdir()))}.png")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["fsq:8,5,5,5", "bsq:18"])
def test_a_minute_of_training_gives_a_tokenizer_of_photographs(spec: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    data = photo_tiles(tmp_path / "photos")
    train_command(Train(data_root=data, out=path, quantiser=spec, minutes=1, fractals=200))
    made = open_tokenizer(str(path))
    assert made.card["command"].count(f"--quantiser {spec}") == 1
    fidelity = float(made.card["figures"].split()[2])  # val PSNR 17.04 dB at ...
    assert fidelity > 12
    groups, codes, _ = made.codebook.shape
    assert groups * code_bits(codes) == (10 if spec.startswith("fsq") else 18)
