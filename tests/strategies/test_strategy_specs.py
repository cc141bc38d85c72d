"""Specs of --strategy, the list of all strategies, and strategies of installed packages."""

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.colour_stream import colours, run
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.experiment.build import build_strategy, canonical_strategy, choose_policy


def refusal(spec: str, **options: object) -> str:
    """The one line that refuses a spec."""
    config = RunConfig(strategy=spec, **options)  # type: ignore[arg-type]
    with pytest.raises(UserError) as error:
        choose_policy(config, build_strategy(config))
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_a_hyperparameter_is_set_by_name_and_its_default_written_out() -> None:
    assert canonical_strategy(RunConfig(strategy="derpp:beta=1")) == "derpp:alpha=0.1,beta=1.0"
    assert canonical_strategy(RunConfig(strategy="er-ace")) == "er_ace"
    assert (
        canonical_strategy(RunConfig(strategy="avalanche:LwFPlugin,alpha=2"))
        == "avalanche:LwFPlugin,alpha=2"
    )


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("derpp:alpa=0.2", "unknown option 'alpa'; did you mean 'alpha'?"),
        ("derpp:alpha=much", "alpha='much' is not of type float"),
        ("er:alpha=1", "it has no options"),
        ("er:fast", "option 'fast' is not key=value"),
        ("er_acee", "unknown strategy 'er_acee'; did you mean 'er_ace'"),
        ("avalanche", "Avalanche has no such plugin"),
        ("avalanche:SynapticInteligencePlugin", "did you mean 'SynapticIntelligencePlugin'"),
        (
            "avalanche:SynapticIntelligencePlugin",
            "give si_lambda, e.g. avalanche:SynapticIntelligencePlugin,si_lambda=1",
        ),
        ("avalanche:LwFPlugin,alfa=1", "unknown option 'alfa'; did you mean 'alpha'"),
        ("avalanche:EWCPlugin,ewc_lambda=1,mode=other", "Avalanche refuses it"),
        ("avalanche:EWCPlugin,ewc_lambda=much", "ewc_lambda='much' is no number"),
        ("avalanche:SynapticIntelligencePlugin,si_lambda=text", "si_lambda='text' is no number"),
        (
            "avalanche:AGEMPlugin,patterns_per_experience=5,sample_size=5",
            "outside the memory; use agem",
        ),
        ("avalanche:GDumbPlugin", "use gdumb"),
    ],
)
def test_a_wrong_spec_is_refused_in_one_line(spec: str, words: str) -> None:
    assert words in refusal(spec)


def test_a_policy_that_a_strategy_does_not_work_with_is_refused() -> None:
    assert "icarl works with herding; drop --policy" in refusal("icarl", policy="reservoir")


@pytest.mark.parametrize(
    ("strategy", "policy"),
    [("icarl", "herding"), ("gdumb", "class-balanced"), ("er", "class-balanced")],
)
def test_a_strategys_own_policy_is_its_default(strategy: str, policy: str) -> None:
    config = RunConfig(strategy=strategy)
    assert choose_policy(config, build_strategy(config)) == policy


def test_the_list_names_every_strategy_with_its_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["strategies"])
    monkeypatch.setenv("COLUMNS", "300")
    runpy.run_module("seit_cl.strategies", run_name="__main__")
    lines = {}
    for line in capsys.readouterr().out.splitlines():
        if line.strip():
            name = line.split()[0].partition(":")[0]
            lines[name] = line
    assert set(plugins.names("strategy")) <= set(lines)
    assert "records + 200 B each" in lines["derpp"]
    assert "alpha=0.1, beta=1.0" in lines["derpp"]
    assert "teacher, means" in lines["icarl"]
    assert "NeurIPS 2020" in lines["derpp"]
    assert "none" in lines["lwf"]
    assert "teacher" in lines["lwf"]


def documented_example() -> str:
    """The first Python block of docs/adding-a-strategy.md."""
    page = (Path(__file__).parents[2] / "docs" / "adding-a-strategy.md").read_text()
    return page.partition("```python\n")[2].partition("```")[0]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package on the path with the documented strategy and its entry point, as installed."""
    site = tmp_path / "site"
    metadata = site / "weighted_replay-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "weighted_replay.py").write_text(documented_example())
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: weighted-replay\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[seit_cl.strategies]\nweighted = weighted_replay:WeightedReplay\n"
    )
    monkeypatch.syspath_prepend(str(site))
    plugins.names.cache_clear()
    yield
    plugins.names.cache_clear()


@pytest.mark.usefixtures("installed")
def test_an_installed_package_provides_the_documented_strategy(tmp_path: Path) -> None:
    spec = "weighted:replay_weight=0.5"
    ended = run(colours(tmp_path / "colours"), tmp_path / "run", strategy=spec)
    assert ended.run.status == "finished"
    assert ended.row["strategy"] == spec
    assert "unknown option 'replay_wait'" in refusal("weighted:replay_wait=1")


def test_one_strategy_is_shown_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["strategies", "derpp"])
    runpy.run_module("seit_cl.strategies", run_name="__main__")
    out = capsys.readouterr().out
    assert "strategy: derpp" in out
    assert "settings: alpha=0.1" in out
    assert "icarl" not in out
