"""TiTok: arithmetic against a plain implementation, published configurations, checkpoints."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.plain_vqgan import State, plain_conv, plain_end, plain_norm
from helpers.tokenizer_samples import images, random_state, titok_s6, titok_shapes
from seit_cl.core.errors import UserError
from seit_cl.formats import FormatContext, build_format
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._checkpoint import model_of
from seit_cl.tokenizers.nets.titok import TiTok
from seit_cl.tokenizers.titok import from_state


def plain_layer_norm(x: Tensor, state: State, name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return normed * state[f"{name}.weight"] + state[f"{name}.bias"]


def plain_linear(x: Tensor, state: State, name: str) -> Tensor:
    weight = state[f"{name}.weight"]
    return x @ weight.reshape(weight.shape[:2]).T + state[f"{name}.bias"]


def plain_attention(x: Tensor, state: State, name: str) -> Tensor:
    """Attention of heads of 64 over the positions of one image (positions, W)."""
    projected = x @ state[f"{name}.in_proj_weight"].T + state[f"{name}.in_proj_bias"]
    queries, keys, values = projected.chunk(3, dim=1)
    heads = []
    for start in range(0, x.shape[1], 64):
        part = slice(start, start + 64)
        scores = (queries[:, part] @ keys[:, part].T / 8).exp()
        heads.append(scores / scores.sum(1, keepdim=True) @ values[:, part])
    return plain_linear(torch.cat(heads, 1), state, f"{name}.out_proj")


def plain_transformer(patches: Tensor, latents: Tensor, state: State, name: str) -> Tensor:
    first = torch.cat([state[f"{name}.class_embedding"], patches])
    first = first + state[f"{name}.positional_embedding"]
    latents = latents + state[f"{name}.latent_token_positional_embedding"]
    x = plain_layer_norm(torch.cat([first, latents]), state, f"{name}.ln_pre")
    i = 0
    while f"{name}.transformer.{i}.ln_1.weight" in state:
        block = f"{name}.transformer.{i}"
        x = x + plain_attention(plain_layer_norm(x, state, f"{block}.ln_1"), state, f"{block}.attn")
        hidden = plain_linear(
            plain_layer_norm(x, state, f"{block}.ln_2"), state, f"{block}.mlp.c_fc"
        )
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        x = x + plain_linear(hidden, state, f"{block}.mlp.c_proj")
        i += 1
    return plain_layer_norm(x, state, f"{name}.ln_post")


def plain_latents(image: Tensor, state: State, legacy: bool) -> Tensor:
    """Latents (N, D) of an image (3, S, S) uint8."""
    pixels = image.double() / 255
    patches = pixels.unfold(1, 16, 16).unfold(2, 16, 16).permute(1, 2, 0, 3, 4).reshape(16, -1)
    weight = state["encoder.patch_embed.weight"].flatten(1)
    patches = patches @ weight.T + state["encoder.patch_embed.bias"]
    x = plain_transformer(patches, state["latent_tokens"], state, "encoder")[-6:]
    if legacy:
        x = x.flatten().view(64, 6).T  # the order of the first models
    return plain_linear(x, state, "encoder.conv_out")


def plain_block(x: Tensor, state: State, name: str) -> Tensor:
    y = x
    for i in (1, 2):
        y = plain_norm(y, state, f"{name}.norm{i}")
        y = plain_conv(y * torch.sigmoid(y), state, f"{name}.conv{i}")
    if f"{name}.nin_shortcut.weight" in state:
        x = plain_conv(y, state, f"{name}.nin_shortcut")
    return y + x


def plain_pixels(x: Tensor, state: State) -> Tensor:
    """An image (3, S, S) of features (Z, H, W) by MaskGIT's decoder."""
    x = plain_conv(x, state, "pixel_decoder.conv_in")
    for j in (0, 1):
        x = plain_block(x, state, f"pixel_decoder.mid.{j}")
    for i in (4, 3, 2, 1, 0):
        for j in (0, 1):
            x = plain_block(x, state, f"pixel_decoder.up.{i}.block.{j}")
        if i:
            x = x.repeat_interleave(2, 1).repeat_interleave(2, 2)
            x = plain_conv(x, state, f"pixel_decoder.up.{i}.upsample_conv")
    return plain_end(x, state, "pixel_decoder")


def plain_image(vectors: Tensor, state: State, legacy: bool) -> Tensor:
    """An image (3, S, S) in [0, 1] of code vectors (N, D)."""
    masks = state["decoder.mask_token"][0].expand(16, -1)
    latents = plain_linear(vectors, state, "decoder.decoder_embed")
    x = plain_transformer(masks, latents, state, "decoder")[1:17]
    x = plain_linear(x, state, "decoder.ffn.0")
    if legacy:
        logits = plain_linear(torch.tanh(x), state, "decoder.ffn.2").exp()
        soft = logits / logits.sum(1, keepdim=True) @ state["pixel_quantize.embedding.weight"]
        return plain_pixels(soft.T.reshape(-1, 4, 4), state)
    image = x.new_empty(3, 64, 64)
    for patch in range(16):
        top, left = patch // 4 * 16, patch % 4 * 16
        image[:, top : top + 16, left : left + 16] = x[patch].view(16, 16, 3).permute(2, 0, 1)
    return plain_conv(image, state, "decoder.conv_out")


@pytest.mark.parametrize("legacy", [True, False])
def test_encoding_and_decoding_are_the_published_arithmetic_done_plainly(legacy: bool) -> None:
    tokenizer = titok_s6(legacy)
    batch = images(2, 64)
    state = {name: tensor.double() for name, tensor in tokenizer.state.items()}
    book = state["quantize.embedding.weight"]
    if legacy:
        book = book / book.square().sum(1, keepdim=True).sqrt()
    tokens = tokenizer.encode(batch)
    restored = tokenizer.decode(tokens)
    assert tokens.shape == (2, 1, 1, 6)
    for i in range(2):
        codes = tokens[i, 0, 0].long()
        latents = plain_latents(batch[i], state, legacy)
        if legacy:
            latents = latents / latents.square().sum(1, keepdim=True).sqrt()
        distances = (latents[:, None] - book).square().sum(2)
        taken = distances.gather(1, codes[:, None])[:, 0]
        assert (taken - distances.min(1).values).max() < 1e-4
        expected = plain_image(book[codes], state, legacy)
        assert (expected.clamp(0, 1) * 255 - restored[i]).abs().max() <= 0.51  # rounding


SMALL, BASE, LARGE = (512, 8, 16), (768, 12, 16), (1024, 24, 16)
MASKGIT = ((128, 128, 256, 256, 512), 1024, 256)
PUBLISHED = {  # encoder, decoder, tokens, codes, dimensions, MaskGIT's decoder; bytes of an image
    "L-32": (LARGE, LARGE, 32, 4096, 12, MASKGIT, 48),
    "B-64": (BASE, BASE, 64, 4096, 12, MASKGIT, 96),
    "S-128": (SMALL, SMALL, 128, 4096, 12, MASKGIT, 192),
    "BL-64": (BASE, LARGE, 64, 8192, 64, None, 104),
    "BL-128": (BASE, LARGE, 128, 8192, 64, None, 208),
    "SL-256": (SMALL, LARGE, 256, 8192, 64, None, 416),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configurations_are_read_from_names_and_shapes(name: str) -> None:
    encoder, decoder, length, codes, dim, pixels, size = PUBLISHED[name]
    listed = titok_shapes(encoder, decoder, length, codes, dim, pixels)
    shapes = {key: torch.Size(shape) for key, shape in listed.items()}
    with torch.device("meta"):
        model = TiTok(shapes)
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == shapes
    assert (model.stride, model.row, model.legacy) == (256, length, pixels is not None)
    assert model_of(shapes) == "TiTok"
    context = FormatContext(256, 10, codes, (1, 1, length), "0" * 16)
    assert build_format("tokens", context).fixed_length == size


def test_a_checkpoint_is_opened_without_the_counts_of_its_training(tmp_path: Path) -> None:
    made = titok_s6()
    torch.save({**made.state, "quantize.embed_prob": torch.zeros(40)}, tmp_path / "titok.bin")
    opened = open_tokenizer(f"titok:{tmp_path}/titok.bin")
    assert opened.identity == made.identity
    assert opened.card == {"ignored": "1 tensors of quantize.embed_prob*"}


@pytest.mark.parametrize("legacy", [True, False])
def test_a_saved_tokenizer_opens_by_its_path_alone(legacy: bool, tmp_path: Path) -> None:
    made = titok_s6(legacy)
    made.save(tmp_path / "titok.safetensors")
    opened = open_tokenizer(str(tmp_path / "titok.safetensors"))
    assert (opened.identity, opened.stride, opened.row) == (made.identity, 64, 6)
    assert torch.equal(opened.encode(images(1, 64)), made.encode(images(1, 64)))


@settings(max_examples=20, deadline=None)
@given(legacy=st.booleans(), data=st.data())
def test_every_missing_tensor_is_named(legacy: bool, data: st.DataObject) -> None:
    whole = titok_s6(legacy).state
    removable = sorted(set(whole) - {"decoder.ffn.2.weight"})  # tells the two kinds apart
    name = data.draw(st.sampled_from(removable))
    state = {other: tensor for other, tensor in whole.items() if other != name}
    with pytest.raises(UserError, match=r"file\.bin: ") as refused:
        from_state("file.bin", state)
    assert name in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_images_of_another_side_are_refused_with_the_one_that_fits() -> None:
    with pytest.raises(UserError, match=r"128 x 128 px.*--resolution 64"):
        titok_s6().encode(images(1, 128))


def test_sides_that_disagree_are_refused() -> None:
    state = random_state(titok_shapes((64, 1, 4), (64, 1, 2), 6, 40, 8))
    with pytest.raises(UserError, match="images of 64 px are decoded to 32 px"):
        from_state("x", state)
