"""Parts of a token file, encoded as tasks of a Ray cluster.

All machines see the images at the same paths, and the folder of the parts. A part is written by one
task, under a temporary name until it is whole, so that a task that is begun again loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch

from seit_cl.core.errors import UserError
from seit_cl.core.ray_cluster import RETRIES, Place, connected, require_room, room
from seit_cl.data.decoding import limit_pixels
from seit_cl.tokenizers import Tokenizer, open_tokenizer
from seit_cl.tokenizers.commands._parts import Advance, Part

POLL = 0.5  # seconds between two looks at what has ended
AHEAD = 2  # tasks for each place of the cluster, so that none waits for this command


def encode_on_ray(
    parts: Sequence[Part],
    tokenizer_spec: str,
    address: str,
    gpus: float,
    advance: Advance,
    max_pixels: int,
) -> None:
    """Write parts on the machines of a cluster, one core for each.

    Args:
        parts: without files.
        tokenizer_spec: opened once in every worker.
        address: as of `seit_cl.core.ray_cluster.connected`.
        gpus: of each task; 0: the CPU.
        advance: called after each part with its number of images.
        max_pixels: pixels above which an image is refused.

    Raises:
        UserError: no cluster, or one that is lost or has no such machine; or a part whose images
            cannot be read.
    """
    if not parts:
        return
    place = Place.here(parts[0].file.parent)
    with connected(address):
        require_room(1, gpus)
        _encode_parts(parts, tokenizer_spec, gpus, place, advance, max_pixels)


def _encode_parts(
    parts: Sequence[Part],
    tokenizer_spec: str,
    gpus: float,
    place: Place,
    advance: Advance,
    max_pixels: int,
) -> None:
    """Submit tasks for all parts, a few more at a time than the cluster has room for."""
    import ray

    task = ray.remote(_write_part).options(
        num_cpus=1, num_gpus=gpus, max_retries=RETRIES, retry_exceptions=False
    )
    waiting = iter(parts)
    running = []
    try:
        while True:
            for part in waiting:  # goes on where it stopped
                running.append(task.remote(part, tokenizer_spec, bool(gpus), place, max_pixels))
                if len(running) >= AHEAD * room(1, gpus):
                    break
            if not running:
                return
            done, running = ray.wait(running, num_returns=1, timeout=POLL)
            for problem, images in ray.get(done):
                if problem:
                    raise UserError(problem)
                advance(images)
    finally:
        for reference in running:
            with suppress(ray.exceptions.RayError):
                ray.cancel(reference, force=True)


_opened: dict[tuple[str, str], Tokenizer] = {}  # by spec and device, in a worker process


def _write_part(
    part: Part, tokenizer_spec: str, on_gpu: bool, place: Place, max_pixels: int
) -> tuple[str, int]:
    """Write a part on a machine of the cluster.

    Returns:
        What failed, or "", and the number of images.
    """
    torch.set_num_threads(1)
    limit_pixels(max_pixels)
    device = "cuda" if on_gpu else "cpu"
    try:
        place.enter()
        if (tokenizer_spec, device) not in _opened:
            _opened[tokenizer_spec, device] = open_tokenizer(tokenizer_spec).to(device)
        return "", part.write(_opened[tokenizer_spec, device], threads=1)
    except UserError as error:
        return str(error), 0
