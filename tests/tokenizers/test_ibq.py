"""IBQ: codes by inner product, moving averages, published configurations, checkpoints."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.plain_vqgan import taming_image, taming_latents
from helpers.tokenizer_samples import ibq_f4, images, random_state, vqgan_shapes
from seit_cl.core.errors import UserError
from seit_cl.formats import FormatContext, build_format
from seit_cl.tokenizers import open_tokenizer, vqgan
from seit_cl.tokenizers._checkpoint import model_of
from seit_cl.tokenizers.ibq import from_state
from seit_cl.tokenizers.nets.vqgan import VQGAN

LEVELS = 3


def with_averages(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A training's checkpoint whose moving averages are these weights."""
    result = {name: tensor + 1 for name, tensor in state.items()}
    result["loss.discriminator.main.0.weight"] = torch.ones(2)
    for name, tensor in state.items():
        result["model_ema." + name.replace(".", "")] = tensor
    result["model_ema.lossdiscriminatormain0weight"] = torch.ones(2)
    result["model_ema.decay"] = torch.tensor(0.999)
    result["model_ema.num_updates"] = torch.tensor(-1)
    return result


def test_encoding_and_decoding_are_the_published_arithmetic_done_plainly() -> None:
    tokenizer = ibq_f4()
    batch = images(2, 24)
    state = {name: tensor.double() for name, tensor in tokenizer.state.items()}
    book = state["quantize.embedding.weight"]
    tokens = tokenizer.encode(batch)
    restored = tokenizer.decode(tokens)
    for i in range(2):
        codes = tokens[i, 0].long()
        products = torch.einsum("dhw,kd->khw", taming_latents(batch[i], state, LEVELS), book)
        assert (products.max(0).values - products.gather(0, codes[None])[0]).max() < 1e-4
        expected = taming_image(book[codes].permute(2, 0, 1), state, LEVELS)
        assert ((expected.clamp(-1, 1) + 1) * 127.5 - restored[i]).abs().max() <= 0.51  # rounding


def test_the_code_of_the_largest_product_need_not_be_the_nearest() -> None:
    state = ibq_f4().state
    batch = images(2, 24)
    nearest = vqgan.from_state("x", state).encode(batch)
    assert not torch.equal(ibq_f4().encode(batch), nearest)
    assert ibq_f4().identity != vqgan.from_state("x", state).identity


@pytest.mark.parametrize(("codes", "size"), [(1024, 320), (8192, 416), (16384, 448)])
def test_published_configurations_are_read_from_names_and_shapes(codes: int, size: int) -> None:
    listed = vqgan_shapes((128, 128, 256, 256, 512), (4,), codes, 256, 256, blocks=4)
    shapes = {key: torch.Size(shape) for key, shape in listed.items()}
    with torch.device("meta"):
        model = VQGAN(shapes)
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == shapes
    assert model.stride == 16
    assert model_of(shapes) == "IBQ"
    context = FormatContext(256, 10, codes, (1, 16, 16), "0" * 16)
    assert build_format("tokens", context).fixed_length == size


def test_more_codes_than_tokens_can_hold_are_refused_in_one_line() -> None:
    state = random_state(vqgan_shapes((32,), (), 2**18, 1, 1, blocks=1))
    with pytest.raises(UserError, match=r"262,144 codes; tokens are int16.*another") as refused:
        from_state("x", state)
    assert len(str(refused.value).splitlines()) == 1


def test_a_lightning_checkpoint_is_opened_with_its_moving_averages(tmp_path: Path) -> None:
    made = ibq_f4()
    torch.save({"state_dict": with_averages(made.state), "epoch": 1}, tmp_path / "last.ckpt")
    opened = open_tokenizer(f"ibq:{tmp_path}/last.ckpt")
    assert opened.identity == made.identity
    assert opened.card == {"weights": "moving averages", "ignored": "1 tensors of loss.*"}


def test_a_checkpoint_without_averages_has_its_weights(tmp_path: Path) -> None:
    torch.save({"state_dict": ibq_f4().state}, tmp_path / "last.ckpt")
    opened = open_tokenizer(f"ibq:{tmp_path}/last.ckpt")
    assert opened.identity == ibq_f4().identity
    assert opened.card == {}


def test_averages_that_do_not_fit_the_weights_are_named() -> None:
    whole = with_averages(ibq_f4().state)
    del whole["loss.discriminator.main.0.weight"]
    some = {name: tensor for name, tensor in whole.items() if name != "model_ema.quant_convbias"}
    with pytest.raises(UserError, match=r"x: has moving averages .* none of quant_conv\.bias"):
        from_state("x", some)
    with pytest.raises(UserError, match=r"model_ema\.encoderother is an average of no weight"):
        from_state("x", {**whole, "model_ema.encoderother": torch.ones(1)})


@pytest.mark.parametrize("name", ["encoder.down.1.block.3.conv2.bias", "quantize.embedding.weight"])
def test_missing_tensors_are_named(name: str) -> None:
    state = {other: tensor for other, tensor in ibq_f4().state.items() if other != name}
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        from_state("x", state)


def test_a_saved_tokenizer_opens_by_its_path_alone(tmp_path: Path) -> None:
    ibq_f4().save(tmp_path / "ibq.safetensors")
    opened = open_tokenizer(str(tmp_path / "ibq.safetensors"))
    assert (opened.identity, opened.card) == (ibq_f4().identity, ibq_f4().card)
