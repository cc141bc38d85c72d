"""A tokenizer's entropy model is read when first needed, from its own file or from the package."""

from pathlib import Path

import pytest

from helpers.random_entropy import random_model
from helpers.tokenizer_samples import bundled
from seit_cl.core.errors import UserError
from seit_cl.data.token_file import open_token_file
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.formats.entropy.reader import BUNDLED, EntropyReader
from seit_cl.tokenizers._stored import StoredTokenizer
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer, load_tokenizer
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode
from seit_cl.tokenizers.nets.vqae import VQAutoencoder


def test_the_bundled_tokenizers_model_is_in_the_package() -> None:
    model = bundled().entropy_model()
    assert model.tokenizer == bundled().identity
    assert model.codes == 1024


def test_the_model_of_a_tokenizer_file_is_in_the_same_folder(tmp_path: Path) -> None:
    tokenizer = VQAETokenizer(VQAutoencoder(codes=64, width=16, depth=1))
    tokenizer.save(tmp_path / "mine.safetensors")
    random_model(codes=64, tokenizer=tokenizer.identity).save(tmp_path / "mine.entropy.safetensors")
    assert load_tokenizer(tmp_path / "mine.safetensors").entropy_model().codes == 64


def test_the_model_of_the_first_levels_is_in_the_same_folder(tmp_path: Path) -> None:
    tokenizer = VQAETokenizer(VQAutoencoder(codes=64, width=16, depth=1, levels=2))
    tokenizer.save(tmp_path / "mine.safetensors")
    first = tokenizer.first(1).identity
    random_model(codes=64, tokenizer=first).save(tmp_path / "mine.entropy.safetensors")
    assert load_tokenizer(tmp_path / "mine.safetensors").first(1).entropy_model().codes == 64


def test_the_model_of_a_token_file_is_in_the_same_folder(fractals: Path, tmp_path: Path) -> None:
    encode_command(Encode(fractals, tmp_path / "x.safetensors", workers=1))
    random_model(codes=1024, seed=3, tokenizer=bundled().identity).save(
        tmp_path / "x.entropy.safetensors"
    )
    stored = StoredTokenizer(open_token_file(tmp_path / "x.safetensors"))
    assert stored.entropy_model().identity != bundled().entropy_model().identity


@pytest.mark.parametrize("has_file", [False, True])
def test_a_tokenizer_without_a_model_of_its_own_is_named(has_file: bool, tmp_path: Path) -> None:
    if has_file:  # of another tokenizer
        random_model(codes=64).save(tmp_path / "mine.entropy.safetensors")
    with pytest.raises(UserError, match=r"tokenizer abc; fit them with .*tokenize entropy"):
        EntropyReader("abc", tmp_path / "mine.safetensors")()


def test_another_file_in_the_models_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.entropy.safetensors").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"mine\.entropy\.safetensors: no entropy model"):
        EntropyReader("abc", tmp_path / "mine.safetensors")()


def test_the_file_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.entropy.safetensors"
    random_model(codes=64, tokenizer="abc").save(file)
    reader = EntropyReader("abc", tmp_path / "mine.safetensors")
    first = reader()
    file.unlink()
    assert reader() is first


def test_codes_of_fixed_width_need_no_model() -> None:
    def unread() -> EntropyModel:
        raise AssertionError("the model was read")

    context = FormatContext(64, 5, 1024, (1, 8, 8), bundled().identity, unread)
    assert build_format("tokens", context).codec_bytes == 0
    with pytest.raises(AssertionError, match="was read"):
        build_format("tokens:coder=context", context)


def test_without_a_reader_the_bundled_model_serves_the_bundled_tokenizer() -> None:
    context = FormatContext(64, 5, 1024, (1, 8, 8), bundled().identity)
    fmt = build_format("tokens:coder=context", context)
    assert fmt.side_info == bundled().entropy_model().identity
    assert BUNDLED.is_file()
