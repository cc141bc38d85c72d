"""`python -m seit_cl.tokenize encode`: an image folder to a token file, on all cores or a GPU.

The images are cut into parts, each with a file in a folder beside the output. Under torchrun, every
rank encodes each WORLD_SIZE-th part, and rank 0 joins all of them.
"""

from __future__ import annotations

import os
import sys

import torch
from rich.console import Console

from seit_cl.core.devices import allowed_cores, choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.files import discard_folder, sweep
from seit_cl.core.progress import images_bar
from seit_cl.data.decoding import limit_pixels
from seit_cl.data.folder import without_missing
from seit_cl.data.images import default_resolution, native_resolution
from seit_cl.datasets import list_data
from seit_cl.launch import Launch
from seit_cl.tokenizers import Tokenizer, open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers.commands._parts import (
    Advance,
    Part,
    encode_in_processes,
    join_parts,
    leave_out_bad,
    prepare_parts,
    wait_for_parts,
)
from seit_cl.tokenizers.commands.options import Encode


def encode_command(options: Encode) -> None:
    """Run `tokenize encode`.

    Raises:
        UserError: a bad folder, tokenizer or side, parts of another command beside the output, or
            ranks that stop writing parts.
    """
    _check(options)
    rank = _rank()
    device = choose_device(options.device)
    console = Console(soft_wrap=True, quiet=rank > 0)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    limit_pixels(options.max_pixels)
    dataset = list_data(options.data_root)
    if options.skip_bad_images and dataset.has_files:
        dataset = without_missing(dataset)
    tokenizer = open_tokenizer(options.tokenizer)
    resolution = options.resolution
    if not resolution:
        resolution = default_resolution(
            native_resolution(dataset, options.skip_bad_images), tokenizer.stride
        )
    check_resolution(resolution, tokenizer.stride)
    folder = options.out.with_name(options.out.name + ".parts")
    for name in (options.out.name, folder.name):
        sweep(folder.parent, name)
    try:
        parts = prepare_parts(folder, dataset, tokenizer, resolution, options.skip_bad_images)
        with images_bar("encoding", len(dataset.train) + len(dataset.val), console) as advance:
            _encode_all(parts, options, tokenizer.to(device), device, advance)
        if rank > 0:
            return
        if options.skip_bad_images:
            dataset = leave_out_bad(dataset, parts)
        identity = join_parts(options.out, dataset, tokenizer, resolution, parts)
    except KeyboardInterrupt:
        console.print(
            f"interrupted; the same command resumes from the parts in {folder}", markup=False
        )
        sys.exit(130)
    discard_folder(folder)
    images = f"{len(dataset.train):,} train and {len(dataset.val):,} val images at {resolution} px"
    if dataset.skipped:
        images += f", {len(dataset.skipped):,} unreadable ones left out"
    held_out = f"; {dataset.held_out}" if dataset.held_out else ""
    console.print(
        f"wrote {options.out}: {images}, identity {identity}{held_out}",
        markup=False,
        highlight=False,
    )


def _check(options: Encode) -> None:
    """Refuse options that would fail later.

    Raises:
        UserError: naming the options.
    """
    can_write = options.out.suffix == ".safetensors" and options.out.parent.is_dir()
    launch = Launch(options.launcher, ray_address=options.ray_address, run_gpus=options.run_gpus)
    if launch.kind == "local" and launch.run_gpus:
        raise UserError(f"--run-gpus {launch.run_gpus:g}: needs --launcher ray")
    if launch.kind != "local" and _ranks() > 1:
        raise UserError(f"--launcher {launch.kind}: not under torchrun; start it as one process")
    if not can_write or options.workers < 0:
        raise UserError(
            f"--out {options.out} must end in .safetensors and be in a folder that exists; "
            f"--workers {options.workers} must be 0 or more"
        )


def _rank() -> int:
    return int(os.environ.get("RANK", 0))


def _ranks() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def _encode_all(
    parts: dict[str, list[Part]],
    options: Encode,
    tokenizer: Tokenizer,
    device: torch.device,
    advance: Advance,
) -> None:
    """Write the parts of this rank; the first rank then waits for those of the others."""
    rank = _rank()
    ranks = _ranks()
    all_parts = [*parts["train"], *parts["val"]]
    _encode(all_parts[rank::ranks], options, tokenizer, device, advance)
    if rank == 0:
        others = [part for number, part in enumerate(all_parts) if number % ranks]
        wait_for_parts(others, advance)


def _encode(
    parts: list[Part],
    options: Encode,
    tokenizer: Tokenizer,
    device: torch.device,
    advance: Advance,
) -> None:
    """Write the parts without a file, on a CPU in processes of one thread each."""
    missing = []
    for part in parts:
        if part.file.exists():
            advance(len(part.images))
        else:
            missing.append(part)
    cores = max(1, allowed_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    workers = min(options.workers or cores, len(missing))
    if options.launcher == "ray":
        from seit_cl.tokenizers.commands._on_ray import encode_on_ray

        encode_on_ray(
            missing,
            options.tokenizer,
            options.ray_address,
            options.run_gpus,
            advance,
            options.max_pixels,
        )
    elif device.type == "cuda" or workers <= 1:
        for part in missing:
            advance(part.write(tokenizer))
    else:
        encode_in_processes(missing, options.tokenizer, workers, advance, options.max_pixels)
