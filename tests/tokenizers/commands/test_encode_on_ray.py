"""`tokenize encode --launcher ray`: the file of one process, also where workers are lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray

from helpers.clusters import kill_workers, three_machines
from seit_cl.core.errors import UserError
from seit_cl.tokenizers.commands import _parts
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode


@pytest.mark.slow
def test_a_cluster_that_loses_its_workers_writes_the_file_of_one_process(
    fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_parts, "PART", 10)
    encode_command(Encode(fractals, tmp_path / "a.safetensors", workers=1))
    lost = []
    wait = ray.wait

    def wait_and_lose(*arguments: Any, **options: Any) -> Any:
        if not lost and kill_workers("_write_part"):
            lost.append(True)
        return wait(*arguments, **options)

    monkeypatch.setattr(ray, "wait", wait_and_lose)
    with three_machines(tmp_path) as cluster:
        options = {"launcher": "ray", "ray_address": cluster.address}
        encode_command(Encode(fractals, tmp_path / "b.safetensors", **options))
    assert lost
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ray_address": "auto"}, "--ray-address auto: needs --launcher ray"),
        ({"run_gpus": 0.5}, r"--run-gpus 0\.5: needs --launcher ray"),
        ({"launcher": "ray", "ray_address": "127.0.0.1:1"}, "no Ray cluster can be used there"),
    ],
)
def test_options_of_another_launcher_and_addresses_without_a_cluster_are_named(
    fractals: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        encode_command(Encode(fractals, tmp_path / "x.safetensors", **options))


def test_a_cluster_is_not_used_under_torchrun(
    fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="--launcher ray: not under torchrun"):
        encode_command(Encode(fractals, tmp_path / "x.safetensors", launcher="ray"))
