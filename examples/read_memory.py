"""Read a memory.bin without seit_cl, as docs/memory.md describes it: python read_memory.py FILE

Prints the header and the exemplars of each class. Needs numpy and Pillow.
"""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

NUMBERS = {"budget": "Q", "codes": "I", "groups": "I", "height": "I", "width": "I", "side": "I"}
NUMBERS |= {"classes": "I", "seed": "Q", "offered": "Q", "skipped": "Q", "count": "Q"}
NUMBERS |= {"flags": "B", "side_info": "I"}
SUBSAMPLING = {"420": "4:2:0", "422": "4:2:2", "444": "4:4:4"}


def read_memory(path: str) -> tuple[dict, np.ndarray, dict, list]:
    """Return the header, the labels (N,), the fields by name (N, *shape), and N exemplars."""
    data = io.BytesIO(Path(path).read_bytes())
    magic, version, checksum = struct.unpack("<7sBI", data.read(12))
    if (magic, version) != (b"SEITMEM", 1) or zlib.crc32(data.getbuffer()[12:]) != checksum:
        raise ValueError(f"{path}: no memory of version 1, or a damaged one")
    layout = struct.Struct("<" + "".join(NUMBERS.values()))
    header = dict(zip(NUMBERS, layout.unpack(data.read(layout.size)), strict=True))
    header["limit"] = number(data, 4) if header["flags"] & 2 else 0
    for name in ("format", "tokenizer", "policy", "fields"):
        header[name] = data.read(number(data, 2)).decode()
    header["counters"] = np.frombuffer(data.read(4 * number(data, 4)), "<u4")
    header["side_info"] = data.read(header["side_info"])
    count, classes = header["count"], header["classes"]
    if count > len(data.getbuffer()):
        raise ValueError(f"{path}: {count} exemplars in fewer bytes")
    width = 1 if classes <= 256 else 2 if classes <= 65_536 else 4
    labels = np.frombuffer(data.read(count * width), f"<u{width}")
    kind = header["format"].partition(":")[0]
    positions = header["groups"] * header["height"] * header["width"]
    bits = max(1, (header["codes"] - 1).bit_length())  # of a token
    mask, kept = parts(header)
    fixed = {"raw": 3 * header["side"] ** 2, "tokens": (positions * bits + 7) // 8}
    if kept:
        fixed["tokens"] = mask + (header["groups"] * kept * bits + 7) // 8
    # Entropy-coded tokens, image files, and exemplars cut to fewer levels differ in length.
    stored = not (header["format"] in fixed or kept) or header["flags"] & 4
    lengths = [varint(data) if stored else fixed[kind] for _ in range(count)]
    fields = {}
    for field in filter(None, header["fields"].split(";")):
        name, dtype, sides = field.replace("=", ":").split(":")
        shape = [count, *map(int, filter(None, sides.split("x")))]
        dtype = np.dtype(dtype).newbyteorder("<")
        values = data.read(int(np.prod(shape)) * dtype.itemsize)
        fields[name] = np.frombuffer(values, dtype).reshape(shape)
    records = [data.read(length) for length in lengths]
    return header, labels, fields, [decoded(header, record, bits) for record in records]


def parts(header: dict) -> tuple[int, int]:
    """Return the bytes of the mask of token records and the positions that they keep; 0: all."""
    kind, _, text = header["format"].partition(":")
    options = dict(option.split("=") for option in text.split(",") if "=" in option)
    if kind != "tokens" or "keep" not in options:
        return 0, 0
    positions = header["height"] * header["width"]
    mask = 0 if options["score"] in ("centre", "even") else (positions + 7) // 8
    return mask, max(1, round(float(options["keep"]) * positions))


def decoded(header: dict, record: bytes, bits: int) -> np.ndarray:
    """Return pixels (3, S, S) uint8, tokens (G or fewer, H, W), or entropy-coded tokens' bytes.

    Tokens of kept positions are (G or fewer, n), without the places of those.
    """
    kind, _, options = header["format"].partition(":")
    mask, kept = parts(header)
    if kind == "raw":
        return np.frombuffer(record, np.uint8).reshape(3, header["side"], header["side"])
    if header["format"] == "tokens" or kept:
        sides = (kept,) if kept else (header["height"], header["width"])
        record = record[mask:]
        levels = 8 * len(record) // (np.prod(sides) * bits) if header["flags"] & 4 else 0
        grid = levels or header["groups"], *sides
        ones = np.unpackbits(np.frombuffer(record, np.uint8), bitorder="little")
        codes = ones[: np.prod(grid) * bits].reshape(-1, bits) @ (1 << np.arange(bits))
        return codes.reshape(grid)
    if kind == "tokens":
        return np.frombuffer(record, np.uint8)  # they need the tokenizer's entropy model
    if kind == "jpeg_scan":
        settings = dict(option.split("=") for option in options.split(","))
        quality = header["side_info"][0] if header["side_info"] else int(settings["quality"])
        subsampling = SUBSAMPLING[settings.get("chroma", "420")]
        file = io.BytesIO()  # any image has the same bytes up to the end of the scan's header
        Image.new("RGB", (int(settings["size"]),) * 2).save(
            file, "JPEG", quality=quality, subsampling=subsampling
        )
        start = file.getvalue().index(b"\xff\xda") + 14
        record = file.getvalue()[:start] + record + b"\xff\xd9"
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(record)))  # a photograph's own file
    return np.array(image.convert("RGB")).transpose(2, 0, 1)


def number(data: io.BytesIO, size: int) -> int:
    """Read an unsigned integer of some bytes, lowest first."""
    return int.from_bytes(data.read(size), "little")


def varint(data: io.BytesIO) -> int:
    """Read an unsigned integer of seven bits a byte, lowest first; the eighth: more follow."""
    byte = number(data, 1)
    return byte if byte < 128 else byte - 128 + 128 * varint(data)


if __name__ == "__main__":
    header, labels, _, exemplars = read_memory(sys.argv[1])
    print(header)
    print(f"{len(exemplars)} exemplars, by class {np.bincount(labels).tolist()}")
