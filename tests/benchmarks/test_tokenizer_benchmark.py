"""The tokenizer's benchmark measures training and encoding, and writes its page."""

from pathlib import Path

from benchmarks import tokenizer
from seit_cl.reporting.markdown import publish


def test_training_and_encoding_are_measured_in_every_precision_and_at_every_size(
    tmp_path: Path,
) -> None:
    options = tokenizer.Options(resolution=(32, 64), batch=4, encode=2, rounds=1, threads=1)
    result = tokenizer.measure(options)
    assert set(result.training) == {"fp32", "bf16"}
    assert set(result.outside) == {"fp32", "bf16"}
    assert set(result.encoding) == {32, 64}
    speeds = [*result.training.values(), *result.encoding.values()]
    assert all(speed.median > 0 for speed in speeds)
    assert all(0 < fraction < 1 for fraction in result.outside.values())
    publish(tokenizer.report(result, options, "typed"), tmp_path / "tokenizer.md")
    assert "outside the model" in (tmp_path / "tokenizer.md").read_text()
