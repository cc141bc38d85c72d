"""The parts of a run from its options."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.colour_stream import colours, run
from seit_cl.core.errors import UserError
from seit_cl.experiment import build


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_run_learns_what_one_that_is_not_compiled_does(tmp_path: Path) -> None:
    data = colours(tmp_path / "colours")
    plain = run(data, tmp_path / "plain" / "run", strategy="naive")
    compiled = run(data, tmp_path / "compiled" / "run", strategy="naive", compile=True)
    assert compiled.fresh == plain.fresh
    assert compiled.losses == pytest.approx(plain.losses, rel=1e-3, abs=1e-3)
    assert compiled.row["final_accuracy"] == pytest.approx(plain.row["final_accuracy"], abs=0.03)


def test_without_a_compiler_compiling_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> str:
        raise build.InvalidCxxCompiler

    monkeypatch.setattr(build, "get_cpp_compiler", none)
    with pytest.raises(UserError, match=r"--compile: .*C\+\+ compiler.* use --no-compile"):
        build.compile_model(torch.nn.Linear(2, 2), torch.device("cpu"))


@pytest.mark.parametrize(("device", "mode"), [("cpu", None), ("cuda", "reduce-overhead")])
def test_on_a_gpu_the_compiled_model_runs_as_cuda_graphs(
    device: str, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(build, "get_cpp_compiler", lambda: "g++")
    model = torch.nn.Linear(2, 2)
    monkeypatch.setattr(model, "compile", asked.update)
    build.compile_model(model, torch.device(device))
    assert asked == {"dynamic": False, "mode": mode}
