"""--help, wrong options and lists are answered without importing torch and other libraries.

Loaded modules are counted, not seconds, which depend on the machine. All lines of a command run in
one new interpreter, each as `python -m` would run it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from seit_cl import __main__ as overview
from seit_cl.core.outlines import LIBRARIES

ROOT = Path(__file__).resolve().parent.parent
# Runs lines of words, the first one a module, and prints exit code, output and loaded libraries.
RUN_LINES = """
import contextlib, io, json, runpy, sys

lines, libraries = json.loads(sys.argv[1])
results = []
for module, *words in lines:
    sys.argv = [module, *words]
    output, errors = io.StringIO(), io.StringIO()
    exit_code = 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            exit_code = stop.code or 0
    loaded = sorted(set(sys.modules) & set(libraries))
    results.append([exit_code, output.getvalue(), errors.getvalue(), loaded])
print(json.dumps(results))
"""
HELP = [
    ["seit_cl"],
    ["seit_cl", "--help"],
    ["seit_cl", "run", "--help"],
    ["seit_cl.run", "--help"],
    ["seit_cl.status", "--help"],
    ["seit_cl.compare", "--help"],
    ["seit_cl.tune", "--help"],
    ["seit_cl.pretrain", "--help"],
    ["seit_cl.pilot", "--help"],
    ["seit_cl.report", "--help"],
    ["seit_cl.density", "--help"],
    ["seit_cl.tokenize", "--help"],
    ["seit_cl.tokenize", "train", "--help"],
    ["seit_cl.scenarios", "--help"],
]
LISTS = [
    ["seit_cl.strategies"],
    ["seit_cl.scenarios"],
    ["seit_cl.models"],
    ["seit_cl.datasets"],
    ["seit_cl.tokenize", "list"],
]
# Wrong words, and a part of the message about them.
WRONG = [
    (["seit_cl", "rum"], "unknown command 'rum'"),
    (["seit_cl.run", "--epoch", "1"], "unknown option --epoch"),
    (["seit_cl.run", "--epochs", "one"], "not a whole number"),
    (["seit_cl.run", "--epochs", "0"], "--epochs 0: must be at least 1"),
    (["seit_cl.run", "--memory-mb", "1", "-1"], "--memory-mb -1: must be"),
    (["seit_cl.run", "--strategy", "er", "err"], "unknown strategy 'err'"),
    (["seit_cl.run", "--format", "jpg"], "unknown format 'jpg'"),
    (["seit_cl.run", "--scenario", "class-incremantal"], "unknown scenario"),
    (["seit_cl.run", "--model", "mirco"], "no such model"),
    (["seit_cl.run", "--train", "half"], "--train half"),
    (["seit_cl.run", "--schedule", "cosin"], "unknown schedule"),
    (["seit_cl.run", "--policy", "hearding"], "unknown policy"),
    (["seit_cl.compare", "--out", "x", "--epoch", "1"], "unknown option --epoch"),
    (["seit_cl.compare", "--epochs", "1"], "--out"),
    (["seit_cl.tune", "--epochs", "1"], "--out"),
    (["seit_cl.tune", "--out", "x", "--trial", "1"], "unknown option --trial"),
    (["seit_cl.tune", "--out", "x", "--trials", "0"], "--trials 0: must be at least 1"),
    (["seit_cl.tune", "--out", "x", "--rates", "1", "0.1"], "--rates 1 0.1: "),
    (["seit_cl.tune", "--out", "x", "--learning-rate", "1"], "--learning-rate 1: "),
    (["seit_cl.pretrain", "--out", "x", "--steps", "-1"], "--steps -1: must be 0 or more"),
    (["seit_cl.pretrain", "--out", "x", "--model", "mirco"], "no such model"),
    (["seit_cl.report", "--stile", "web"], "error: "),
    (["seit_cl.report", "runs", "--style", "wob"], "invalid choice: 'wob'"),
    (["seit_cl.density"], "--data-root is required"),
    (["seit_cl.density", "--data-root", "x", "--format", "jpg"], "unknown format 'jpg'"),
    (["seit_cl.tokenize", "lst"], "error: "),
    (["seit_cl.tokenize", "train", "--minutes", "x"], "error: "),
    (["seit_cl.scenarios", "--dataroot", "x"], "error: "),
]


def run_lines(lines: list[list[str]]) -> list[tuple[int, str, str, list[str]]]:
    """Run command lines, one after the other.

    Returns:
        Of each the exit code, standard output, standard error and the libraries loaded by then.
    """
    ended = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::RuntimeWarning:runpy",
            "-c",
            RUN_LINES,
            json.dumps([lines, sorted(LIBRARIES)]),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [tuple(result) for result in json.loads(ended.stdout)]


def test_help_loads_no_library() -> None:
    for words, (exit_code, output, errors, loaded) in zip(HELP, run_lines(HELP), strict=True):
        assert (exit_code, errors, loaded) == (0, "", []), words
        assert "usage: " in output


def test_lists_load_no_library() -> None:
    for words, (exit_code, output, errors, loaded) in zip(LISTS, run_lines(LISTS), strict=True):
        assert (exit_code, errors, loaded) == (0, "", []), words
        assert len(output.splitlines()) > 5


def test_wrong_words_are_refused_in_a_line_before_any_library_is_loaded() -> None:
    results = run_lines([words for words, _ in WRONG])
    for (words, message), (exit_code, output, errors, loaded) in zip(WRONG, results, strict=True):
        assert (exit_code, output, loaded) == (2, "", []), words
        assert errors.startswith("error: ") and len(errors.splitlines()) == 1, errors
        assert message in errors


def test_every_command_is_in_the_list_of_commands() -> None:
    listed = {module.removesuffix(".__main__") for module, _ in overview.COMMANDS.values()}
    called = {words[0] for words in [*HELP, *LISTS]}
    assert listed == called - {"seit_cl"}


def test_importing_the_package_loads_no_library() -> None:
    code = "import sys, seit_cl; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert LIBRARIES & set(ended.stdout.split()) == set()


def test_messages_name_the_command_as_it_was_called() -> None:
    lines = [["seit_cl.report", "--help"], ["seit_cl", "report", "--help"]]
    texts = [output for _, output, _, _ in run_lines(lines)]
    assert texts[0].startswith("usage: python -m seit_cl.report ")
    assert texts[1].startswith("usage: python -m seit_cl report ")


def test_the_console_script_has_the_same_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert "seit-cl = seit_cl.__main__:main" in setup["options.entry_points"]["console_scripts"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/seit-cl"])
    overview.main()
    text = capsys.readouterr().out
    assert text.startswith("usage: seit-cl COMMAND")
    assert all(f"\n  {name} " in text for name in overview.COMMANDS)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/seit-cl", "report", "no-such-folder"])
    with pytest.raises(SystemExit) as stop:
        overview.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: no-such-folder: ")
