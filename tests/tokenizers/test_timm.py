"""Frozen timm features: values, files, the cache, options, and errors."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from helpers.tokenize_command import TokenizeHere, command_line
from helpers.tokenizer_samples import frozen, images
from seit_cl.core.errors import UserError
from seit_cl.tokenizers import kind_of_file, open_tokenizer
from seit_cl.tokenizers._timm_tokenizer import fit_timm, load_timm
from seit_cl.tokenizers.nets.backbone import Backbone, BackboneSettings
from seit_cl.tokenizers.training.features import FitOptions, fitting_images

SMALL = FitOptions(km="16", dim=8, pretrained="no", images=20)
WORDS = "km=16,dim=8,pretrained=no,images=20"


def test_features_are_those_that_timm_gives() -> None:
    backbone = Backbone(BackboneSettings("test_vit", -1, 0))
    image = images(1, 64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = (
            timm.create_model("test_vit", num_classes=0, dynamic_img_size=True)
            .half()
            .float()
            .eval()
        )
    mean, std = (
        torch.tensor(model.pretrained_cfg[name])[:, None, None] for name in ("mean", "std")
    )
    with torch.no_grad():
        patches = model.forward_features((image.float() / 255 - mean) / std)[
            :, model.num_prefix_tokens :
        ]
    assert backbone.stride == 16
    assert backbone.width == model.num_features
    torch.testing.assert_close(
        backbone(image[0]), patches[0].T.view(-1, 4, 4), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("layer", "stride", "grid"), [(-1, 8, 8), (-1, 0, 2), (-2, 0, 4), (1, 4, 16)]
)
def test_the_stride_is_as_asked_whatever_layer_gives_the_features(
    layer: int, stride: int, grid: int
) -> None:
    assert Backbone(BackboneSettings("test_resnet", layer, stride))(images(1, 64)[0]).shape[1:] == (
        grid,
        grid,
    )


def test_patches_of_14_pixels_make_the_same_grid() -> None:
    backbone = Backbone(BackboneSettings("vit_small_patch14_dinov2", 0, 8))
    assert backbone(images(1, 40)[0]).shape == (384, 5, 5)


@pytest.mark.parametrize(
    "name", ["test_convnext", "test_efficientnet", "swin_tiny_patch4_window7_224", "test_maxvit"]
)
def test_backbones_of_many_kinds_give_features(name: str) -> None:
    try:
        backbone = Backbone(BackboneSettings(name, 0, 0))
    except UserError as refused:
        assert "px" in str(refused)  # some take only sides that suit their windows
        return
    assert backbone(images(1, 16 * backbone.stride)[0]).shape == (backbone.width, 16, 16)


def test_a_file_gives_back_the_tokenizer_and_says_its_kind(tmp_path: Path) -> None:
    made = frozen("test_resnet", pq="2x16")
    path = tmp_path / "features.safetensors"
    made.save(path)
    assert kind_of_file(path) == "timm"
    assert os.listdir(tmp_path) == [path.name]
    for opened in (open_tokenizer(str(path)), open_tokenizer(f"timm:{path}"), load_timm(path)):
        assert opened.identity == made.identity
        assert opened.codec_bytes == made.codec_bytes
        assert opened.card == made.card
        assert opened.combine == "concat"
        assert torch.equal(opened.encode(images(3, 64)), made.encode(images(3, 64)))
    numbers = sum(tensor.numel() for tensor in made.backbone.model.state_dict().values())
    assert path.stat().st_size < 2 * numbers + 40_000  # half precision
    with pytest.raises(UserError, match="the file states the options"):
        open_tokenizer(f"timm:{path},pq=2x16")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"codebook": torch.zeros(1, 4, 2)}, path, {"kind": "timm"})
    for name in (path, tmp_path / "absent.safetensors"):
        with pytest.raises(UserError, match="not a readable"):
            open_tokenizer(f"timm:{name}")


def test_the_same_options_give_the_same_tokenizer_and_every_option_another() -> None:
    first = fit_timm("test_resnet", SMALL)
    assert fit_timm("test_resnet", SMALL).identity == first.identity
    changes = [
        replace(SMALL, seed=1),
        replace(SMALL, km="17"),
        replace(SMALL, dim=9),
        replace(SMALL, layer=-2),
        replace(SMALL, stride=16),
        replace(SMALL, whiten="yes"),
        replace(SMALL, images=19),
    ]
    others = [fit_timm("test_resnet", changed).identity for changed in changes]
    assert len({first.identity, *others}) == 1 + len(changes)


def test_identity_changes_with_every_weight() -> None:
    made = fit_timm("test_resnet", SMALL)
    seen = {made.identity}
    for tensor in [
        *made.backbone.model.state_dict().values(),
        made.quantiser.matrix,
        made.quantiser.codebook,
    ]:
        before = tensor.clone()
        tensor.view(-1)[-1] += 1
        seen.add(type(made)(made.backbone, made.quantiser, {}).identity)
        tensor.copy_(before)
    assert len(seen) == 3 + len(made.backbone.model.state_dict())


def test_a_spec_is_fitted_once_and_then_taken_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path))
    made = open_tokenizer(f"timm:test_resnet,{WORDS}")
    (cached,) = (tmp_path / "tokenizers").iterdir()
    written = cached.stat().st_mtime_ns
    assert open_tokenizer(f"timm:test_resnet,{WORDS}").identity == made.identity
    assert cached.stat().st_mtime_ns == written
    open_tokenizer(f"timm:test_resnet,{WORDS},seed=2")
    assert len(list((tmp_path / "tokenizers").iterdir())) == 2


def test_it_is_fitted_on_the_folder_that_is_named(fractals: Path) -> None:
    options = replace(SMALL, fit=str(fractals), images=12)
    paths = fitting_images(options)
    assert paths is not None
    assert len(set(paths)) == 12
    assert all("train" in path.parts for path in paths)
    assert fitting_images(replace(options, seed=1)) != paths
    assert fitting_images(SMALL) is None
    card = fit_timm("test_resnet", options).card
    assert card["data"] == "fitted on 12 images of fractals at 64 px, 768 positions"
    assert "random" in card["weights"]
    assert options.key("test_resnet", paths) != options.key("test_resnet", paths[1:])


def test_weights_of_a_file_are_taken_and_their_classifier_left(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = timm.create_model("test_resnet", num_classes=7)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    made = fit_timm(
        "test_resnet",
        replace(SMALL, weights=str(tmp_path / "weights.safetensors"), pretrained="yes"),
    )
    name = "layer1.0.conv1.weight"
    assert torch.equal(
        made.backbone.model.state_dict()[name], model.state_dict()[name].half().float()
    )
    assert made.card["weights"] == "weights.safetensors"


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for weights, words in (
        ({"x": torch.zeros(1)}, "missing"),
        ({"conv1.0.weight": torch.zeros(1)}, "not those of test_resnet"),
    ):
        save_file(weights, path)
        with pytest.raises(UserError, match=words):
            fit_timm("test_resnet", replace(SMALL, weights=str(path)))
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        fit_timm("test_resnet", replace(SMALL, weights=str(path)))


@pytest.mark.slow
def test_without_a_hub_one_line_names_the_alternatives() -> None:
    spec = "timm:vit_small_patch14_dinov2,pq=8x256"
    ended = subprocess.run(
        command_line("inspect", "--tokenizer", spec),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": "/nonexistent"},
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "pretrained weights of vit_small_patch14_dinov2 are not available" in ended.stderr
    assert "weights=FILE.safetensors" in ended.stderr
    assert "pretrained=no" in ended.stderr


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("timm", "timm:BACKBONE"),
        (f"timm:resnet1,{WORDS}", "no model 'resnet1'; did you mean"),
        ("timm:test_resnet,pq=2x16,km=16", "km and pq at once"),
        ("timm:test_resnet,pq=2by16", "write e.g. pq=4x256"),
        ("timm:test_resnet,pretrained=maybe", "pretrained=maybe: must be yes or no"),
        ("timm:test_resnet,dim=0,whiten=yes", "choose dim= above 0"),
        ("timm:test_resnet,side=20", "side=20"),
        (f"timm:test_resnet,{WORDS},layer=9", "has no layer 9"),
        (f"timm:test_resnet,{WORDS},side=60", "must be a multiple of the stride, 8"),
        (f"timm:test_resnet,{WORDS},fit=absent", "fit=absent: no such folder"),
        ("timm:test_resnet,pretrained=no,images=1,km=1024", "64 positions to fit 1024 codes to"),
    ],
)
def test_bad_specs_are_one_line_that_says_what_to_do(spec: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        open_tokenizer(spec)
    assert len(str(refused.value).splitlines()) == 1


def test_fit_writes_a_file(fractals: Path, tmp_path: Path, tokenize: TokenizeHere) -> None:
    out = tmp_path / "new" / "features.safetensors"
    spec = "timm:test_vit,rq=2x16,pretrained=no,images=20"
    ended = tokenize("fit", "--tokenizer", spec, "--data-root", fractals, "--out", out)
    assert ended.code == 0, ended.err
    assert "% of the variance" in ended.out
    assert open_tokenizer(str(out)).card["data"].startswith("fitted on 20 images of fractals")


def test_fit_refuses_other_kinds(tmp_path: Path, tokenize: TokenizeHere) -> None:
    ended = tokenize("fit", "--tokenizer", "bundled", "--out", tmp_path / "x.safetensors")
    assert ended.is_one_line_error
    assert "only frozen features are fitted" in ended.err
