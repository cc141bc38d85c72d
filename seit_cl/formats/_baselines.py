"""Sizes that other storage takes, to compare formats with: original files and general compressors.

Each baseline maps samples and the codebook size K to mean bytes per image. Labels are left out, and
so are lengths or an index, which all baselines but order-0 would need on top.
"""

from __future__ import annotations

import gzip
import lzma
import math
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.blocks import slices
from seit_cl.data.samples import Samples
from seit_cl.data.seit.codes import to_bytes
from seit_cl.formats._packing import code_bits, pack
from seit_cl.formats.entropy import range_coder

AT_ONCE = 256  # token grids
SMALLEST_DICTIONARY = 4096  # bytes, of xz
GZIP_FILE = 31  # of zlib: the largest window, in a gzip file


def original_files(samples: Samples, codes: int) -> float:
    """Image files as they are."""
    total = 0
    for part in slices(len(samples), 1):  # a file may be large
        total += len(samples[part].files()[0])
    return total / len(samples)


def seit_one_gzip(samples: Samples, codes: int) -> float:
    """Bytes of the SeiT release (Park et al., ICCV 2023), all in one gzip file, as published.

    No record decodes alone.
    """
    compressor = zlib.compressobj(9, wbits=GZIP_FILE)
    total = 0
    for tokens in _blocks(samples):
        data, _ = to_bytes(tokens)
        total += len(compressor.compress(data.tobytes()))
    return (total + len(compressor.flush())) / len(samples)


def seit_gzip_each(samples: Samples, codes: int) -> float:
    """Bytes of the SeiT release, one gzip file per image."""
    total = 0
    for tokens in _blocks(samples):
        data, offsets = to_bytes(tokens)
        for record in np.split(data, offsets[1:-1]):
            total += len(gzip.compress(record.tobytes(), 9, mtime=0))
    return total / len(samples)


def xz_each(samples: Samples, codes: int) -> float:
    """Codes of fixed width, one xz file per image."""
    return sum(len(_xz(record)) for record in _packed_records(samples, codes)) / len(samples)


def _xz(record: bytes) -> bytes:
    """Compress a record with the settings of `xz -9`.

    The dictionary is as large as the record instead of 64 MB, which makes as many bytes in a
    thousandth of the time.
    """
    dictionary = max(SMALLEST_DICTIONARY, 1 << (len(record) - 1).bit_length())
    settings = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": dictionary}
    return lzma.compress(record, filters=[settings])


def zstd_each(samples: Samples, codes: int) -> float:
    """Codes of fixed width, one zstd frame per image; nan without the zstandard package."""
    try:
        import zstandard
    except ImportError:
        return math.nan
    compressor = zstandard.ZstdCompressor(level=19, write_content_size=False)
    records = _packed_records(samples, codes)
    return sum(len(compressor.compress(record)) for record in records) / len(samples)


def order0(samples: Samples, codes: int) -> float:
    """Codes in the range coder, each with its frequency in these very images; with a length."""
    counts = torch.zeros(codes, dtype=torch.float64)
    for tokens in _blocks(samples):
        counts += torch.bincount(tokens.flatten().long(), minlength=codes)
    widths = 1 + (counts / counts.sum() * (range_coder.TOTAL - codes)).floor().long()
    starts = torch.cat([widths.new_zeros(1), widths.cumsum(0)])
    total = 0
    for tokens in _blocks(samples):
        indices = tokens.flatten(1).long()
        lengths = range_coder.encode(starts[indices], widths[indices]).lengths
        total += int((lengths + 1 + (lengths > 127)).sum())
    return total / len(samples)


def _blocks(samples: Samples) -> Iterator[Tensor]:
    """Token grids (n, G, H, W) of all samples, in their order."""
    for part in slices(len(samples), AT_ONCE):
        yield samples[part].tokens()


def _packed_records(samples: Samples, codes: int) -> Iterator[bytes]:
    """Records of fixed width."""
    for tokens in _blocks(samples):
        for record in pack(tokens.flatten(1), code_bits(codes)):
            yield record.numpy().tobytes()


ORIGINAL_FILES = "original files"
BASELINES: dict[str, Callable[[Samples, int], float]] = {
    ORIGINAL_FILES: original_files,
    "SeiT release, one gzip": seit_one_gzip,
    "SeiT release, gzip each": seit_gzip_each,
    "fixed, xz each": xz_each,
    "fixed, zstd each": zstd_each,
    "order-0 range coder": order0,
}
