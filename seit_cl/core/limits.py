"""The most that a file's own numbers may claim, compared before memory is taken for them."""

from __future__ import annotations

# Pixels of one image, of 8,192 x 8,192 for instance: five times a photograph of 12 megapixels, and
# more than cameras of 64 make. Decoding one takes a third of a GB.
MAX_PIXELS = 2**26
# Classes of a dataset, some fifty times those of ImageNet-21k.
MOST_CLASSES = 1_000_000
MOST_CODES = 2**15  # of a codebook: tokens are int16
LONGEST_SIDE = 2**16  # pixels, of an image that tokens stand for
# Bytes that deflate makes of one byte, at most: RFC 1951 codes 258 bytes in two bits.
DEFLATE_RATIO = 1032
