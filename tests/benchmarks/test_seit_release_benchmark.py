"""The benchmark of the SeiT release: rivals agree, and the page has the commands' costs."""

from pathlib import Path

import pytest
import torch

from benchmarks import seit_release
from seit_cl.reporting.markdown import publish


def test_the_rivals_give_the_same_tokens() -> None:
    rivals = {name: call() for name, call in seit_release.parsers(20).items()}
    ours = torch.cat(rivals["seit_cl"])  # type: ignore[arg-type]
    assert torch.equal(ours, seit_release.random_tokens(20, 0))
    stacked = torch.stack(rivals["loop, tensors"])  # type: ignore[arg-type]
    assert torch.equal(stacked[:, None], ours.long())
    assert rivals["loop"] == ours.flatten(1).tolist()


@pytest.mark.slow
def test_commands_are_measured_and_their_costs_are_on_the_page(tmp_path: Path) -> None:
    options = seit_release.Options(images=1500, parsed=5, batch=8, rounds=1, turn=0.0)
    result = seit_release.measure(options)
    assert set(result.commands) == {"import-seit", "export-seit"}
    assert min(cost.peak for cost in result.commands.values()) > 0
    assert result.drawing.median > 0
    assert result.token_file_bytes > 1600 * 2048
    publish(seit_release.report(result, options, "typed"), tmp_path / "page.md")
    assert "`import-seit`" in (tmp_path / "page.md").read_text()
