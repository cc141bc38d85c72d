"""Image files that are damaged, lie about themselves, or are merely unusual.

`hostile_images` makes any number of them from a seed. As a program, this module decodes them in a
process of its own and prints what became of them, the longest time and the peak of memory:

    PYTHONPATH=tests python -m faults.hostile_images COUNT SEED
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin, features

from helpers.linux_status import status_bytes

PEAK = "VmHWM"  # of Linux; getrusage's peak would be that of the parent, if that has more
LONGEST = 5.0  # seconds for one file
MOST_MEMORY = 400.0  # MB that decoding adds
# Formats that Pillow writes, which a file called x.jpg may be.
FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 80},
    "PNG": {},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
    "WEBP": {},
    "JPEG2000": {},
    "PPM": {},
    "ICO": {},
    "TGA": {},
    "AVIF": {},
}


class Hostile(NamedTuple):
    """A file and its kind."""

    kind: str
    data: bytes


class Outcomes(NamedTuple):
    """Outcomes of reading files.

    Args:
        counts: by kind and outcome.
        seconds: the longest time of one, of the processor: a machine may have other work.
        tracebacks: exceptions other than a UserError.
    """

    counts: Counter[str]
    seconds: float
    tracebacks: list[str]


def picture(rng: np.random.Generator, side: int = 64) -> Image.Image:
    """A picture of gradients and noise, of S x S pixels."""
    y, x = np.mgrid[:side, :side] * 255 // side
    pixels = np.stack([x, y, rng.integers(0, 256, (side, side))], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The file of a picture."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
    """A PNG of any claims: bits per sample, colour type, and the compressed pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def sample_of_any_format(rng: np.random.Generator) -> bytes:
    """A sound file of one of the formats that this Pillow writes."""
    kinds = [kind for kind in FORMATS if kind != "AVIF" or features.check("avif")]
    kind = kinds[rng.integers(len(kinds))]
    return encoded(picture(rng), kind, **FORMATS[kind])


def truncated(rng: np.random.Generator) -> bytes:
    data = sample_of_any_format(rng)
    return data[: rng.integers(len(data))]


def flipped(rng: np.random.Generator) -> bytes:
    """Some bytes anywhere, mostly in the header, have other values."""
    data = bytearray(sample_of_any_format(rng))
    reach = min(len(data), 64) if rng.random() < 0.5 else len(data)
    for at in rng.integers(0, reach, rng.integers(1, 20)):
        data[at] = rng.integers(256)
    return bytes(data)


def broken_stream(rng: np.random.Generator) -> bytes:
    """Header and end are whole; what lies between is not."""
    kind = ("JPEG", "PNG", "WEBP")[rng.integers(3)]
    data = bytearray(encoded(picture(rng), kind))
    start, end = len(data) // 3, len(data) - 16
    data[start:end] = rng.bytes(end - start) if rng.random() < 0.5 else bytes(end - start)
    return bytes(data)


def headers_only(rng: np.random.Generator) -> bytes:
    data = encoded(picture(rng), "JPEG")
    return data[: data.index(b"\xff\xda")] + b"\xff\xd9"


def claims(rng: np.random.Generator) -> bytes:
    """A PNG or a BMP of a few bytes that says it is huge."""
    side = int(rng.choice([2**31 - 1, 100_000, 30_000, 9_400]))
    if rng.random() < 0.5:
        return png(side, side, 8, int(rng.choice([0, 2, 6])), zlib.compress(b"\0"))
    data = bytearray(encoded(picture(rng), "BMP"))
    data[18:26] = struct.pack("<ii", side, int(rng.choice([side, -side, -(2**31)])))
    return bytes(data)


def bomb(rng: np.random.Generator) -> bytes:
    """A PNG that really has many more pixels than bytes, near the limit or above it."""
    side = int(rng.choice([8_000, 12_000]))
    packer = zlib.compressobj(9)
    row = bytes(1 + 4 * side)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png(side, side, 8, 6, pixels)


def many_scans(rng: np.random.Generator) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(Image.new("L", (4096, 4096)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 5_000 + b"\xff\xd9"


def animated(rng: np.random.Generator) -> bytes:
    kind = ("PNG", "GIF", "WEBP")[rng.integers(3)]
    more = [picture(rng) for _ in range(3)]
    return encoded(picture(rng), kind, save_all=True, append_images=more, duration=20)


def sixteen_bits(rng: np.random.Generator) -> bytes:
    grey = rng.integers(0, 65536, (64, 64)).astype(np.uint16)
    return encoded(Image.fromarray(grey), ("PNG", "TIFF")[rng.integers(2)])


def palette(rng: np.random.Generator) -> bytes:
    one = picture(rng).convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    return encoded(one, "PNG", transparency=rng.bytes(16) if rng.random() < 0.5 else 3)


def odd_mode(rng: np.random.Generator) -> bytes:
    kind, mode = [
        ("JPEG", "CMYK"), ("TIFF", "CMYK"), ("TIFF", "LAB"), ("TIFF", "F"), ("TIFF", "I"),
        ("PNG", "1"), ("PNG", "LA"), ("TIFF", "YCbCr"), ("JPEG", "L"),
    ][rng.integers(9)]  # fmt: skip
    image = picture(rng)
    if mode == "LAB":
        return encoded(Image.merge("LAB", image.split()), kind)
    return encoded(image.convert("L" if mode in "FI" else "RGB").convert(mode), kind)


def odd_metadata(rng: np.random.Generator) -> bytes:
    """A large text, a profile of noise, or Exif data of noise."""
    choice = rng.integers(3)
    if choice == 0:
        info = PngImagePlugin.PngInfo()
        info.add_text("comment", "x" * 50_000_000, zip=True)
        return encoded(picture(rng), "PNG", pnginfo=info)
    if choice == 1:
        return encoded(picture(rng), "JPEG", icc_profile=rng.bytes(3000))
    return encoded(picture(rng), "JPEG", exif=b"Exif\0\0" + rng.bytes(300))


def no_image(rng: np.random.Generator) -> bytes:
    texts = [b"", b"\0", b"no image", b"<html></html>", b"%!PS-Adobe-3.0 EPSF-3.0\n", rng.bytes(99)]
    return texts[rng.integers(len(texts))]


KINDS: dict[str, Callable[[np.random.Generator], bytes]] = {
    maker.__name__: maker
    for maker in (
        truncated, flipped, broken_stream, headers_only, claims, animated, sixteen_bits, palette,
        odd_mode, odd_metadata, no_image, bomb, many_scans,
    )
}  # fmt: skip
COSTLY = ("bomb", "many_scans")  # a second or more to make
FUZZED = ("truncated", "flipped", "broken_stream")  # most of the files


def hostile_images(count: int, seed: int, costly: bool = True) -> Iterator[Hostile]:
    """Files of every kind in turn, and then of the kinds with most variety.

    Args:
        count: number of files.
        seed: of their contents.
        costly: also those that take long to make.
    """
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in KINDS if costly or kind not in COSTLY]
    for i in range(count):
        kind = kinds[i] if i < len(kinds) else FUZZED[i % len(FUZZED)]
        if i % 40 < 4 and i >= len(kinds):
            kind = ("claims", "odd_mode", "odd_metadata", "animated")[i % 4]
        if costly and i % 50 in (30, 31):
            kind = COSTLY[i % 2]
        yield Hostile(kind, KINDS[kind](rng))


def decode_all(files: Iterator[Hostile], folder: Path) -> Outcomes:
    """Decode files one by one as a run does.

    Args:
        files: written to one file in turn.
        folder: for that file.
    """
    from seit_cl.core.errors import UserError
    from seit_cl.data.images import load_images

    path = folder / "x.jpg"
    counts: Counter[str] = Counter()
    longest = 0.0
    tracebacks = []
    for file in files:
        path.write_bytes(file.data)
        started = time.process_time()
        try:
            load_images([path], 64, threads=1)
            outcome = "decoded"
        except UserError as error:
            outcome = "refused"
            text = str(error)
            if str(path) not in text or "\n" in text:
                tracebacks.append(f"{file.kind}: {text!r}")
        except BaseException as error:
            outcome = "traceback"
            tracebacks.append(f"{file.kind}: {error!r}")
        longest = max(longest, time.process_time() - started)
        counts[f"{file.kind}: {outcome}"] += 1
    return Outcomes(counts, longest, tracebacks)


def write_files(count: int, seed: int, folder: Path) -> None:
    """Write hostile images into a folder, under names in their order that end in their kinds."""
    for number, file in enumerate(hostile_images(count, seed)):
        (folder / f"{number:06d} {file.kind}").write_bytes(file.data)


def read_files(folder: Path) -> Iterator[Hostile]:
    """Read what `write_files` has written."""
    for path in sorted(folder.iterdir()):
        yield Hostile(path.name.partition(" ")[2], path.read_bytes())


def decode_apart(count: int, seed: int) -> dict[str, Any]:
    """Decode hostile images in a process of its own.

    Returns:
        The outcomes, and the peak of memory in MB: "megabytes", and "megabytes_before" the first.
    """
    words = [sys.executable, "-m", "faults.hostile_images", str(count), str(seed)]
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        words,
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Decode hostile images and print the outcomes as JSON."""
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        files.mkdir()
        # In a process of its own: some take more memory to make than to decode.
        maker = multiprocessing.get_context("fork").Process(
            target=write_files, args=(count, seed, files)
        )
        maker.start()
        maker.join()
        from seit_cl.data.images import load_images

        sound = Path(folder) / "sound.jpg"
        sound.write_bytes(encoded(picture(np.random.default_rng(0)), "JPEG"))
        load_images([sound], 64)  # imports what decoding needs
        before = status_bytes(PEAK)
        outcomes = decode_all(read_files(files), Path(folder))
    memory = {"megabytes": status_bytes(PEAK) / 1e6, "megabytes_before": before / 1e6}
    report = outcomes._asdict() | memory
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
