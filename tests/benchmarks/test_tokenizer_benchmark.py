"""The tokenizer's benchmark runs, measures training and encoding, and writes its page."""

from pathlib import Path

from benchmarks import tokenizer
from seit_cl.reporting.markdown import publish


def test_training_and_encoding_are_measured_in_every_precision_and_at_every_size(
    tmp_path: Path,
) -> None:
    options = tokenizer.Options(resolution=(32, 64), batch=4, encode=2, rounds=1, threads=1)
    result = tokenizer.measure(options)
    assert set(result.training) == set(result.outside) == {"fp32", "bf16"} and set(
        result.encoding
    ) == {32, 64}
    assert all(
        rate.median > 0 for rates in (result.training, result.encoding) for rate in rates.values()
    )
    assert all(0 < share < 1 for share in result.outside.values())
    publish(tokenizer.report(result, options, "typed"), tmp_path / "tokenizer.md")
    assert "outside the model" in (tmp_path / "tokenizer.md").read_text()
