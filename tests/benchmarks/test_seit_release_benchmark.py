"""The SeiT release's benchmark: rivals parse the same tokens, a release goes there and back, and the page has all of it."""

from pathlib import Path

import pytest
import torch

from benchmarks import seit_release
from seit_cl.reporting.markdown import publish


def test_the_rivals_give_the_same_tokens() -> None:
    rivals = {name: call() for name, call in seit_release.parsers(20).items()}
    ours = torch.cat(rivals["seit_cl"])  # type: ignore[arg-type]
    assert torch.equal(ours, seit_release.random_tokens(20, 0))
    assert torch.equal(torch.stack(rivals["loop, tensors"])[:, None], ours.long())  # type: ignore[arg-type]
    assert rivals["loop"] == ours.flatten(1).tolist()


@pytest.mark.slow
def test_commands_are_measured_and_written_down(tmp_path: Path) -> None:
    options = seit_release.Options(images=1500, parsed=5, batch=8, rounds=1, turn=0.0)
    result = seit_release.measure(options)
    assert set(result.seconds) == set(result.peak) == {"import-seit", "export-seit"}
    assert min(result.peak.values()) > 0 < result.drawing.median and result.sizes[1] > 1600 * 2048
    publish(seit_release.report(result, options, "typed"), tmp_path / "page.md")
    assert "`import-seit`" in (tmp_path / "page.md").read_text()
