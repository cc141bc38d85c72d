"""Folders and versions that the machines of a Ray cluster share with the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seit_cl.core.errors import UserError
from seit_cl.core.ray_cluster import Place


def test_a_worker_with_another_version_or_without_the_folders_refuses_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Place.here(tmp_path)
    place.enter()
    with pytest.raises(UserError, match=r"has seit_cl .* and this command 0\.0"):
        replace(place, versions={"seit_cl": "0.0"}).enter()
    with pytest.raises(UserError, match=r"has no folder .*elsewhere; start in a folder that all"):
        replace(place, out=tmp_path / "elsewhere").enter()
