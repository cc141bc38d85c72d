"""Importing and opening a tokenizer loads no package that only other parts of seit_cl need."""

import json
import subprocess
import sys

HEAVY = {"pandas", "scipy", "yaml", "matplotlib", "avalanche", "faiss", "sklearn"}
LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def modules_after(code: str) -> set[str]:
    """Names of the modules that a new interpreter has loaded after running the code."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LOADED}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(json.loads(ended.stdout.splitlines()[-1]))


def test_opening_the_bundled_tokenizer_loads_no_heavy_package() -> None:
    code = "import seit_cl.tokenizers as tokenizers; tokenizers.open_tokenizer()"
    assert modules_after(code) & HEAVY == set()


def test_kinds_of_published_checkpoints_load_no_heavy_package() -> None:
    kinds = "diffusers, ibq, llamagen, open_magvit2, titok, vit_vqgan, vqgan"
    code = f"from seit_cl.tokenizers import {kinds}"
    assert modules_after(code) & HEAVY == set()


def test_frozen_features_load_faiss_only_to_be_fitted() -> None:
    assert "faiss" not in modules_after("from seit_cl.tokenizers import timm")
