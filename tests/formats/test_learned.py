"""Learned codecs: exact round trips, exact bytes, and files of weights that are refused."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import learned_weights
from helpers.learned_weights import random_weights, write_weights
from helpers.random_samples import RandomSource
from seit_cl import ByteBudgetBuffer
from seit_cl.core.errors import UserError
from seit_cl.core.tensor_files import read_tensor_file
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats._learned_nets import HyperSynthesis
from seit_cl.formats._learned_weights import LearnedCodec, read_codec

BOTH = pytest.mark.parametrize("hyperprior", [False, True], ids=["factorized", "hyperprior"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def specs(folder: Path) -> dict[tuple[bool, bool], str]:
    """Specs by (has a hyperprior, its latents are often outside of the tables)."""
    found = {}
    for hyperprior in (False, True):
        for is_far, gain in ((False, 8.0), (True, 400.0)):
            path = folder / f"{hyperprior}-{is_far}.safetensors"
            found[hyperprior, is_far] = write_weights(path, random_weights(hyperprior, gain=gain))
    return found


def samples(count: int, side: int, start: int = 0) -> Samples:
    ids = torch.arange(start, start + count)
    return Samples(ids, ids % 5, RandomSource(FormatContext(side, 5)))


@given(
    side=st.integers(2, 40),
    size=st.integers(2, 40),
    hyperprior=st.booleans(),
    is_far=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_images_of_every_side_are_decoded_from_the_same_integers(
    specs, side, size, hyperprior, is_far
):
    spec = f"{specs[hyperprior, is_far]},size={min(size, side)}"
    fmt = build_format(spec, FormatContext(side, 5))
    sent = samples(3, side)
    records = fmt.encode(sent)
    decoded = fmt.decode(records)
    alone = build_format(spec, FormatContext(side, 5)).encode(sent[1:2])
    assert decoded.shape == (3, 3, side, side)
    assert alone.to_bytes() == records.to_bytes()[1:2]
    assert torch.equal(fmt.decode(alone), decoded[1:2])


@BOTH
def test_latents_come_back_as_they_were_rounded(specs, monkeypatch, hyperprior):
    from seit_cl.formats import learned

    fmt = build_format(specs[hyperprior, True], FormatContext(64, 5))
    rounded, restored = [], []
    analysis, synthesis = learned.analysis, learned.synthesis

    def seen_analysis(state, images):
        found = analysis(state, images)
        medians = 0 if hyperprior else fmt.codec.medians
        rounded.append((found - medians).round() + medians)
        return found

    def seen_synthesis(state, latents):
        restored.append(latents)
        return synthesis(state, latents)

    monkeypatch.setattr(learned, "analysis", seen_analysis)
    monkeypatch.setattr(learned, "synthesis", seen_synthesis)
    fmt.decode(fmt.encode(samples(4, 64)))
    assert torch.equal(torch.cat(restored), torch.cat(rounded))


def test_a_record_takes_the_information_of_its_integers_and_less_than_a_byte(specs):
    fmt = build_format(specs[False, False], FormatContext(64, 5))
    records = fmt.encode(samples(20, 64))
    pixels = samples(20, 64).pixels().permute(0, 2, 3, 1)
    for record, image in zip(records.to_bytes(), pixels, strict=True):
        _, widths = fmt._message(image.permute(2, 0, 1))
        information = float((20 - widths.double().log2()).sum()) / 8
        assert len(record) - 1.1 < information < len(record) + 1.1


def test_the_scales_of_a_hyperprior_are_the_same_in_any_order_of_sums():
    state = random_weights(True)
    side = torch.randint(-40, 40, (1, 4, 2, 2), generator=torch.Generator().manual_seed(0)).float()
    order = torch.tensor([2, 0, 3, 1])
    shuffled = dict(state)
    shuffled["h_s.0.weight"] = state["h_s.0.weight"][order][:, order]
    shuffled["h_s.0.bias"] = state["h_s.0.bias"][order]
    shuffled["h_s.2.weight"] = state["h_s.2.weight"][order][:, order]
    shuffled["h_s.2.bias"] = state["h_s.2.bias"][order]
    shuffled["h_s.4.weight"] = state["h_s.4.weight"][:, order]
    assert torch.equal(HyperSynthesis(state)(side), HyperSynthesis(shuffled)(side[:, order]))


def test_weights_that_would_make_sums_inexact_are_refused(folder):
    state = random_weights(True)
    state["h_s.2.weight"] *= 1e5
    refused(folder, state, "weights of h_s that are too large")


@BOTH
def test_a_state_dict_of_torch_is_read_like_a_safetensors_file(folder, hyperprior):
    state = random_weights(hyperprior)
    write_weights(folder / "same.safetensors", state)
    torch.save(state, folder / "same.pth")
    torch.save({"epoch": 3, "state_dict": state}, folder / "wrapped.pth.tar")
    identities = {
        read_codec(folder / name).identity
        for name in ("same.safetensors", "same.pth", "wrapped.pth.tar")
    }
    assert len(identities) == 1


def test_tensors_of_training_alone_change_nothing(folder):
    state = random_weights()
    first = read(folder, state)
    state["entropy_bottleneck._matrix0"] = torch.ones(6, 3, 1)
    state["g_a.1.beta_reparam.pedestal"] = torch.ones(1)
    second = read(folder, state)
    assert (first.identity, first.codec_bytes) == (second.identity, second.codec_bytes)


def test_codec_bytes_are_those_of_weights_and_tables(folder):
    state = random_weights()
    tables = ("_quantized_cdf", "_cdf_length", "_offset")
    weights = sum(4 * tensor.numel() for name, tensor in state.items() if not name.endswith(tables))
    entries = int(state["entropy_bottleneck._cdf_length"].sum()) + 2 * 6
    assert read(folder, state).codec_bytes == weights + 4 * entries


def read(folder: Path, state: dict[str, torch.Tensor]) -> LearnedCodec:
    write_weights(folder / "read.safetensors", state)
    return read_codec(folder / "read.safetensors")


def refused(folder: Path, state: dict[str, torch.Tensor], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        read(folder, state)
    assert "read.safetensors" in str(caught.value) and "\n" not in str(caught.value)


@BOTH
@pytest.mark.parametrize("change", ["shape", "type", "nan"])
def test_weights_of_another_shape_or_type_are_refused_by_name(folder, hyperprior, change):
    for name in ("g_a.2.weight", "g_s.5.gamma", "entropy_bottleneck.quantiles"):
        state = random_weights(hyperprior)
        tensor = state[name]
        changed = {"shape": tensor[:-1], "type": tensor.long(), "nan": tensor * float("nan")}
        state[name] = changed[change]
        refused(folder, state, name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("g_s.4.bias", "g_s.4.bias is missing"),
        ("g_a.0.weight", "no g_a.0.weight"),
        ("entropy_bottleneck._quantized_cdf", "call update"),
        ("gaussian_conditional.scale_table", "call update"),
    ],
)
def test_a_missing_tensor_is_named(folder, name, words):
    state = random_weights(True)
    del state[name]
    refused(folder, state, words)


def test_weights_of_another_architecture_are_refused(folder):
    state = random_weights()
    state["context_prediction.weight"] = torch.ones(3)
    refused(folder, state, "context_prediction.weight is of another architecture")


def test_a_damaged_file_is_refused(folder):
    data = bytearray(learned_weights.FILE.read_bytes())
    data[-100] ^= 1
    (folder / "damaged.safetensors").write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        build_format(f"learned:weights={folder / 'damaged.safetensors'}", FormatContext(32, 2))


@pytest.mark.parametrize("content", [b"", b"no weights"])
@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_files_of_other_kinds_are_refused(folder, content, ending):
    path = folder / f"other.{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"other.{ending}"):
        read_codec(path)


def test_no_file_is_refused_in_one_line(folder):
    with pytest.raises(UserError, match="give learned:weights=FILE"):
        build_format("learned", FormatContext(32, 2))
    with pytest.raises(UserError, match="no such file"):
        build_format(f"learned:weights={folder / 'none.pth'}", FormatContext(32, 2))


def test_a_memory_is_refused_with_other_weights(folder):
    path = folder / "of-memory.safetensors"
    spec = write_weights(path, random_weights())
    memory = ByteBudgetBuffer.of(spec, 5_000, classes=5, resolution=32)
    memory.offer(samples(20, 32))
    memory.save(folder / "memory.bin")
    decoded = ByteBudgetBuffer.load(folder / "memory.bin").by_class(0).inputs
    assert torch.equal(decoded, memory.by_class(0).inputs)
    write_weights(path, random_weights(seed=1))
    with pytest.raises(UserError, match="written with other weights"):
        ByteBudgetBuffer.load(folder / "memory.bin")


def test_the_shared_file_holds_the_weights_that_its_helper_draws():
    stored = read_tensor_file(learned_weights.FILE, "").tensors
    drawn = random_weights()
    assert stored.keys() == drawn.keys()
    assert all(torch.allclose(stored[name], drawn[name]) for name in drawn)
