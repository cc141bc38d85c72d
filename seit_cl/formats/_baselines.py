"""What others store, for comparison: mean bytes an image of the original files and of tokens under general compressors.

Labels are left out, and so are lengths or an index, which all but the order-0 row would need on top.
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
from seit_cl.formats.entropy import range_coder
from seit_cl.formats.tokens import code_bits, pack


def originals(samples: Samples, codes: int) -> float:
    """The image files as they are."""
    return _mean(samples.files())


def seit(samples: Samples, codes: int) -> float:
    """The SeiT release's bytes (Park et al., ICCV 2023), all images' in one gzip file, as it comes; no record decodes alone."""
    return len(gzip.compress(to_bytes(samples.tokens())[0].tobytes(), 9, mtime=0)) / len(samples)


def seit_each(samples: Samples, codes: int) -> float:
    """The same bytes, one gzip file an image."""
    data, offsets = to_bytes(samples.tokens())
    return _mean(
        [gzip.compress(record.tobytes(), 9, mtime=0) for record in np.split(data, offsets[1:-1])]
    )


def xz(samples: Samples, codes: int) -> float:
    """Codes of fixed width, one xz file an image."""
    return _mean([lzma.compress(record, preset=9) for record in packed(samples, codes)])


def zstd(samples: Samples, codes: int) -> float:
    """Codes of fixed width, one zstd frame an image; nan without the zstandard package."""
    try:
        import zstandard
    except ImportError:
        return math.nan
    compressor = zstandard.ZstdCompressor(level=19, write_content_size=False)
    return _mean([compressor.compress(record) for record in packed(samples, codes)])


def order0(samples: Samples, codes: int) -> float:
    """Codes in the range coder by their frequencies alone, which are taken from these very images; with a length as ours have."""
    tokens = samples.tokens().flatten(1).long()
    counts = torch.bincount(tokens.flatten(), minlength=codes).double()
    widths = 1 + (counts / counts.sum() * (range_coder.TOTAL - codes)).floor().long()
    starts = torch.cat([widths.new_zeros(1), widths.cumsum(0)])
    lengths = range_coder.encode(starts[tokens], widths[tokens]).lengths
    return float((lengths + 1 + (lengths > 127)).double().mean())


def packed(samples: Samples, codes: int) -> list[bytes]:
    """Records of fixed width."""
    rows = pack(samples.tokens().flatten(1), code_bits(codes))
    return [record.numpy().tobytes() for record in rows]


def _mean(records: list[bytes]) -> float:
    return sum(map(len, records)) / len(records)


ORIGINALS = "original files"
RIVALS: dict[str, Callable[[Samples, int], float]] = {
    ORIGINALS: originals,
    "SeiT release, one gzip": seit,
    "SeiT release, gzip each": seit_each,
    "fixed, xz each": xz,
    "fixed, zstd each": zstd,
    "order-0 range coder": order0,
}
