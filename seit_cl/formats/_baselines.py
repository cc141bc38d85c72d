"""Sizes that other storage takes, to compare formats with: original files and general compressors.

Each baseline maps samples and the codebook size K to mean bytes per image. Labels are left out, and
so are lengths or an index, which all baselines but order-0 would need on top.
"""

from __future__ import annotations

import gzip
import lzma
import math
from collections.abc import Callable

import numpy as np
import torch

from seit_cl.data.samples import Samples
from seit_cl.data.seit.codes import to_bytes
from seit_cl.formats._packing import code_bits, pack
from seit_cl.formats.entropy import range_coder


def original_files(samples: Samples, codes: int) -> float:
    """Image files as they are."""
    return _mean_length(samples.files())


def seit_one_gzip(samples: Samples, codes: int) -> float:
    """Bytes of the SeiT release (Park et al., ICCV 2023), all in one gzip file, as published.

    No record decodes alone.
    """
    data, _ = to_bytes(samples.tokens())
    return len(gzip.compress(data.tobytes(), 9, mtime=0)) / len(samples)


def seit_gzip_each(samples: Samples, codes: int) -> float:
    """Bytes of the SeiT release, one gzip file per image."""
    data, offsets = to_bytes(samples.tokens())
    records = np.split(data, offsets[1:-1])
    return _mean_length([gzip.compress(record.tobytes(), 9, mtime=0) for record in records])


def xz_each(samples: Samples, codes: int) -> float:
    """Codes of fixed width, one xz file per image."""
    records = _packed_records(samples, codes)
    return _mean_length([lzma.compress(record, preset=9) for record in records])


def zstd_each(samples: Samples, codes: int) -> float:
    """Codes of fixed width, one zstd frame per image; nan without the zstandard package."""
    try:
        import zstandard
    except ImportError:
        return math.nan
    compressor = zstandard.ZstdCompressor(level=19, write_content_size=False)
    return _mean_length([compressor.compress(record) for record in _packed_records(samples, codes)])


def order0(samples: Samples, codes: int) -> float:
    """Codes in the range coder, each with its frequency in these very images; with a length."""
    tokens = samples.tokens().flatten(1).long()
    counts = torch.bincount(tokens.flatten(), minlength=codes).double()
    widths = 1 + (counts / counts.sum() * (range_coder.TOTAL - codes)).floor().long()
    starts = torch.cat([widths.new_zeros(1), widths.cumsum(0)])
    lengths = range_coder.encode(starts[tokens], widths[tokens]).lengths
    length_bytes = 1 + (lengths > 127)
    return float((lengths + length_bytes).double().mean())


def _packed_records(samples: Samples, codes: int) -> list[bytes]:
    """Records of fixed width."""
    rows = pack(samples.tokens().flatten(1), code_bits(codes))
    return [record.numpy().tobytes() for record in rows]


def _mean_length(records: list[bytes]) -> float:
    return sum(len(record) for record in records) / len(records)


ORIGINAL_FILES = "original files"
BASELINES: dict[str, Callable[[Samples, int], float]] = {
    ORIGINAL_FILES: original_files,
    "SeiT release, one gzip": seit_one_gzip,
    "SeiT release, gzip each": seit_gzip_each,
    "fixed, xz each": xz_each,
    "fixed, zstd each": zstd_each,
    "order-0 range coder": order0,
}
