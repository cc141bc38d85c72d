"""ViT-VQGAN: every block against an independent computation, checkpoints, image sides, files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.tokenizer_samples import CARD, images, vit
from seit_cl.core.errors import UserError
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._vit_vqgan_tokenizer import from_state
from seit_cl.tokenizers.nets.vit_vqgan import Attention, FeedForward, ViTVQGAN, sincos_positions

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def numpy_positions(height: int, width: int, dim: int) -> np.ndarray:
    """The formula, position by position and dimension by dimension."""
    quarter = dim // 4
    positions = np.zeros((height, width, dim))
    for row in range(height):
        for column in range(width):
            for i in range(quarter):
                for half, place in enumerate((column, row)):
                    angle = place / 10000 ** (i / quarter)
                    positions[row, column, 2 * half * quarter + i] = np.sin(angle)
                    positions[row, column, (2 * half + 1) * quarter + i] = np.cos(angle)
    return positions.reshape(1, height * width, dim)


def numpy_norm(x: np.ndarray, state: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Layer normalisation over the last dimension."""
    centred = x - x.mean(-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return normed * state[f"{name}.weight"] + state[f"{name}.bias"]


def numpy_transformer(
    x: np.ndarray, state: dict[str, np.ndarray], prefix: str, depth: int
) -> np.ndarray:
    """Pre-norm attention with heads of 64 and a Tanh network, in float64: (N, E) -> (N, E)."""
    for layer in (f"{prefix}.layers.{i}" for i in range(depth)):
        queries, keys, values = np.split(
            numpy_norm(x, state, f"{layer}.0.norm") @ state[f"{layer}.0.fn.to_qkv.weight"].T, 3, 1
        )
        heads = []
        for first in range(0, queries.shape[1], 64):
            own = slice(first, first + 64)
            scores = np.exp(queries[:, own] @ keys[:, own].T / 8)
            heads.append(scores / scores.sum(1, keepdims=True) @ values[:, own])
        mixed = np.concatenate(heads, 1)
        if f"{layer}.0.fn.to_out.weight" in state:
            mixed = (
                mixed @ state[f"{layer}.0.fn.to_out.weight"].T + state[f"{layer}.0.fn.to_out.bias"]
            )
        x = x + mixed
        hidden = numpy_norm(x, state, f"{layer}.1.norm") @ state[f"{layer}.1.fn.net.0.weight"].T
        hidden = np.tanh(hidden + state[f"{layer}.1.fn.net.0.bias"])
        x = x + hidden @ state[f"{layer}.1.fn.net.2.weight"].T + state[f"{layer}.1.fn.net.2.bias"]
    return numpy_norm(x, state, f"{prefix}.norm")


def state64(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(("height", "width", "dim"), [(4, 4, 16), (2, 5, 8), (32, 32, 12)])
def test_positions_are_sines_and_cosines_of_column_and_row(
    height: int, width: int, dim: int
) -> None:
    np.testing.assert_allclose(
        sincos_positions(height, width, dim).numpy(), numpy_positions(height, width, dim), atol=1e-6
    )


@pytest.mark.parametrize(("width", "heads"), [(64, 1), (96, 1), (128, 2), (80, 3)])
def test_attention_is_torchs_multi_head_attention_with_the_same_weights(
    width: int, heads: int
) -> None:
    ours = Attention(width, heads)
    inner = 64 * heads
    theirs = nn.MultiheadAttention(inner, heads, bias=False, batch_first=True)
    x = torch.randn(2, 9, width)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.eye(inner).repeat(3, 1))  # inputs are mapped before it
        theirs.out_proj.weight.copy_(torch.eye(inner))
        mapped = [F.linear(x, weight) for weight in ours.to_qkv.weight.chunk(3)]
        expected = ours.to_out(theirs(*mapped, need_weights=False)[0])
        torch.testing.assert_close(ours(x), expected, **CLOSE)
    assert isinstance(ours.to_out, nn.Identity) == ((width, heads) == (64, 1))


def test_feed_forward_is_two_maps_with_a_tanh_between() -> None:
    block = FeedForward(16, 24)
    x = torch.randn(2, 3, 16)
    state = state64(block)
    hidden = np.tanh(x.double().numpy() @ state["net.0.weight"].T + state["net.0.bias"])
    expected = hidden @ state["net.2.weight"].T + state["net.2.bias"]
    np.testing.assert_allclose(block(x).detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("side", [32, 64, 72])
def test_encoding_and_decoding_are_the_published_arithmetic_in_numpy(side: int) -> None:
    tokenizer = vit()
    batch = images(2, side)
    state = state64(tokenizer.model)  # type: ignore[arg-type]
    grid = side // 8
    book = state["quantizer.embedding.weight"]
    book = book / np.linalg.norm(book, axis=1, keepdims=True)
    tokens = tokenizer.encode(batch)
    for image, codes, restored in zip(batch, tokens, tokenizer.decode(tokens), strict=True):
        pixels = image.double().numpy() / 255
        patches = pixels.reshape(3, grid, 8, grid, 8).transpose(1, 3, 0, 2, 4).reshape(grid**2, -1)
        x = (
            patches @ state["encoder.to_patch_embedding.0.weight"].reshape(128, -1).T
            + state["encoder.to_patch_embedding.0.bias"]
        )
        x = numpy_transformer(
            x + numpy_positions(grid, grid, 128)[0], state, "encoder.transformer", 2
        )
        latents = x @ state["pre_quant.weight"].T + state["pre_quant.bias"]
        similar = latents / np.linalg.norm(latents, axis=1, keepdims=True) @ book.T
        taken = codes.flatten().long().numpy()
        assert (similar.max(1) - similar[np.arange(grid**2), taken]).max() < 1e-5
        y = (
            book[taken] @ state["post_quant.weight"].T
            + state["post_quant.bias"]
            + numpy_positions(grid, grid, 64)[0]
        )
        y = numpy_transformer(y, state, "decoder.transformer", 1)
        pixels = np.einsum("ne,ecij->ncij", y, state["decoder.to_pixel.1.weight"])
        pixels = pixels + state["decoder.to_pixel.1.bias"][:, None, None]
        pixels = pixels.reshape(grid, grid, 3, 8, 8).transpose(2, 0, 3, 1, 4).reshape(3, side, side)
        assert np.abs(pixels.clip(0, 1) * 255 - restored.numpy()).max() <= 0.51  # rounding


def test_the_codebook_is_the_checkpoints_on_the_unit_sphere() -> None:
    assert torch.equal(
        vit().codebook[0], F.normalize(vit().state["quantizer.embedding.weight"], dim=1)
    )


SMALL = (512, 8, 8, 2048)
BASE = (768, 12, 12, 3072)
LARGE = (1280, 32, 16, 5120)


def count(width: int, depth: int, heads: int, hidden: int) -> int:
    """Count the weights of a transformer and its convolution to or from patches, without its bias.

    Its positions on a 32 x 32 grid are counted as well.
    """
    attention = 4 * 64 * heads * width + width
    network = 2 * width * hidden + hidden + width
    blocks = depth * (attention + network + 4 * width)
    positions = 32 * 32 * width
    patches = 8 * 8 * 3 * width
    return blocks + 2 * width + positions + patches


@pytest.mark.parametrize(("encoder", "decoder"), [(SMALL, SMALL), (BASE, BASE), (SMALL, LARGE)])
def test_small_base_and_large_have_the_published_sizes(
    encoder: tuple[int, ...], decoder: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        model = ViTVQGAN(32, 8, 8192, 32, encoder, decoder)  # type: ignore[arg-type]
    between = (encoder[0] * 32 + 32) + 8192 * 32 + (32 * decoder[0] + decoder[0])
    expected = count(*encoder) + encoder[0] + between + count(*decoder) + 3
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == expected
    assert {
        "encoder.en_pos_embedding",
        "decoder.de_pos_embedding",
        "decoder.to_pixel.1.weight",
        "decoder.transformer.norm.bias",
        "encoder.to_patch_embedding.0.bias",
        "encoder.transformer.layers.7.1.fn.net.2.weight",
        "pre_quant.weight",
        "post_quant.bias",
        "quantizer.embedding.weight",
    } <= set(model.state_dict())


def checkpoint(path: Path, state: dict[str, Tensor]) -> str:
    torch.save({"state_dict": state, "epoch": 3, "global_step": 10}, path)
    return f"vit-vqgan:{path}"


def test_a_lightning_checkpoint_is_loaded_key_for_key_without_its_loss(tmp_path: Path) -> None:
    state = {**vit().state, "loss.discriminator.blocks.0.weight": torch.zeros(3)}
    opened = open_tokenizer(checkpoint(tmp_path / "base.ckpt", state))
    batch = images(2, 64)
    assert opened.identity == vit().identity
    assert torch.equal(opened.encode(batch), vit().encode(batch))
    assert opened.card == {"ignored": "1 tensors of loss.*"}


def test_bare_tensors_and_safetensors_are_loaded_as_well(tmp_path: Path) -> None:
    torch.save(vit().state, tmp_path / "bare.pt")
    save_file(vit().state, tmp_path / "plain.safetensors", metadata={"format": "pt"})
    identities = {open_tokenizer(f"vit_vqgan:{path}").identity for path in tmp_path.iterdir()}
    assert identities == {vit().identity}


def test_half_precision_checkpoints_count_half_the_bytes_and_take_any_side() -> None:
    half = from_state("half", {name: tensor.half() for name, tensor in vit().state.items()})
    assert 2 * half.codec_bytes == vit().codec_bytes
    assert half.codebook.dtype == torch.float32
    assert (half.encode(images(2, 40)) == vit().encode(images(2, 40))).float().mean() > 0.9
    assert half.identity != vit().identity


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(vit().state)))
def test_every_missing_tensor_is_named(name: str) -> None:
    state = {other: tensor for other, tensor in vit().state.items() if other != name}
    with pytest.raises(UserError, match=r"file\.ckpt: .*missing ") as refused:
        from_state("file.ckpt", state)
    assert name in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_left_over_tensors_and_other_shapes_are_named() -> None:
    with pytest.raises(UserError, match=r"left over pre_quant\.scale"):
        from_state("x", {**vit().state, "pre_quant.scale": torch.ones(1)})
    with pytest.raises(UserError, match=r"of another shape pre_quant.bias \(5,\) for \(8,\)"):
        from_state("x", {**vit().state, "pre_quant.bias": torch.ones(5)})
    with pytest.raises(
        UserError, match=r"missing encoder.transformer.layers.2.0.norm.weight.* and \d+ more"
    ):
        from_state(
            "x", {**vit().state, "encoder.transformer.layers.4.0.norm.weight": torch.ones(128)}
        )


def test_a_pickled_object_is_refused_with_the_alternative(tmp_path: Path) -> None:
    path = tmp_path / "epoch.ckpt"
    torch.save({"state_dict": vit().state, "callbacks": {"best": tmp_path}}, path)
    with pytest.raises(UserError, match=r"epoch\.ckpt: holds a pickled object.*weights_only=False"):
        open_tokenizer(f"vit-vqgan:{path}")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\x80\x04junk", b"PK\x03\x04junk"])
@pytest.mark.parametrize("name", ["x.ckpt", "x.safetensors"])
def test_another_file_is_refused_in_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=name) as refused:
        open_tokenizer(f"vit-vqgan:{path}")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"state_dict": 3}, {"a": "text"}, {"weight": torch.ones(2)}]
)
def test_a_file_without_a_state_dict_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(
        UserError, match=r"x\.pt: (holds no state_dict|no checkpoint of a ViT-VQGAN)"
    ):
        open_tokenizer(f"vit-vqgan:{tmp_path / 'x.pt'}")


def test_the_source_must_exist_and_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.ckpt: no such checkpoint"):
        open_tokenizer(f"vit-vqgan:{tmp_path}/absent.ckpt")
    with pytest.raises(UserError, match="vit-vqgan:CHECKPOINT"):
        open_tokenizer("vit-vqgan")


@pytest.mark.parametrize("side", [8, 24, 64, 128])
def test_sin_cos_positions_serve_every_side(side: int) -> None:
    assert vit().decode(vit().encode(images(1, side))).shape == (1, 3, side, side)


def test_the_trained_grid_does_not_matter_to_a_model_with_sin_cos_positions() -> None:
    state = {name: tensor for name, tensor in vit().state.items() if "pos_embedding" not in name}
    other = {
        "encoder.en_pos_embedding": sincos_positions(4, 4, 128),
        "decoder.de_pos_embedding": sincos_positions(4, 4, 64),
    }
    batch = images(3, 64)
    assert torch.equal(from_state("x", {**state, **other}).encode(batch), vit().encode(batch))


def test_learnt_positions_serve_the_trained_side_alone() -> None:
    learnt = {"encoder.en_pos_embedding": torch.randn(1, 64, 128)}
    tokenizer = from_state("x", {**vit().state, **learnt})
    tokens = tokenizer.encode(images(2, 64))
    assert not torch.equal(tokens, vit().encode(images(2, 64)))
    assert tokenizer.decode(tokens).shape == (2, 3, 64, 64)
    with pytest.raises(UserError, match=r"72 x 72 px.*--resolution 64"):
        tokenizer.encode(images(1, 72))
    with pytest.raises(UserError, match=r"72 x 72 px"):
        tokenizer.decode(torch.zeros(1, 1, 9, 9, dtype=torch.int16))


def test_a_saved_tokenizer_opens_by_its_path_alone(tmp_path: Path) -> None:
    path = tmp_path / "vit.safetensors"
    batch = images(3, 64)
    vit().save(path)
    opened = open_tokenizer(str(path))
    assert (opened.identity, opened.card, opened.codec_bytes) == (
        vit().identity,
        CARD,
        vit().codec_bytes,
    )
    assert torch.equal(opened.encode(batch), vit().encode(batch))
    assert opened.mirror is None


@settings(max_examples=10, deadline=None)
@given(name=st.sampled_from(sorted(vit().state)))
def test_identity_changes_with_every_tensor(name: str) -> None:
    changed = vit().state[name].clone()
    changed[(-1,) * changed.ndim] += 0.25
    assert from_state("x", {**vit().state, name: changed}).identity != vit().identity


def test_more_codes_than_tokens_can_hold_are_refused() -> None:
    with pytest.raises(UserError, match=r"40,000 codes; tokens are int16"):
        from_state("x", {**vit().state, "quantizer.embedding.weight": torch.randn(40000, 8)})
