"""What storing a stream of images costs in a format: bytes an exemplar takes, the codec's once, and the time it takes to encode.

Every image is kept for the retention; the stream starts with an empty store. A month is 365.25 / 12 days, a GB is 10^9 bytes,
money is in the currency of the price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from seit_cl.core.errors import UserError

DAYS = 365.25 / 12  # of a month
GB = 1_000_000_000


@dataclass(frozen=True)
class Prices:
    """What the stream is and what its storage costs.

    Args:
        per_gb_month: price of a GB kept for a month.
        images_per_day: of the stream.
        retention_months: how long every image is kept.
        per_core_hour: price of an hour of a processor core, or of the GPU where the runs encoded on one; 0: encoding is free.

    Raises:
        UserError: a number that no price or stream can have.
    """

    per_gb_month: float
    images_per_day: float
    retention_months: float
    per_core_hour: float = 0.0

    def __post_init__(self) -> None:
        for option, value, least in (
            ("--cost-per-gb-month", self.per_gb_month, 0.0),
            ("--images-per-day", self.images_per_day, 1e-9),
            ("--retention-months", self.retention_months, 1e-9),
            ("--cost-per-core-hour", self.per_core_hour, 0.0),
        ):
            if not least <= value < math.inf:
                raise UserError(
                    f"{option} {value:g}: must be {'above 0' if least else '0 or more'}"
                )


@dataclass(frozen=True)
class Storage:
    """A format as it was measured.

    Args:
        bytes_each: of an exemplar, its share of the file's header included.
        codec_bytes: kept once, whatever the number of images.
        core_seconds: of a processor core, to tokenize and encode one image; nan where no run measured it.
    """

    bytes_each: float
    codec_bytes: float
    core_seconds: float = math.nan


def images_kept(prices: Prices, months: float) -> float:
    """Images in the store `months` after the stream began."""
    return prices.images_per_day * DAYS * min(months, prices.retention_months)


def gigabytes(storage: Storage, prices: Prices, months: float) -> float:
    """GB in the store `months` after the stream began, the codec included."""
    return (images_kept(prices, months) * storage.bytes_each + storage.codec_bytes) / GB


def encoding_a_month(storage: Storage, prices: Prices) -> float:
    """What encoding a month of the stream costs: 0 where a core's hour is free, nan where its time was not measured."""
    if prices.per_core_hour == 0:
        return 0.0
    return prices.images_per_day * DAYS * storage.core_seconds / 3600 * prices.per_core_hour


def month_when_full(storage: Storage, prices: Prices) -> float:
    """What a month costs once images are leaving the store as fast as they arrive."""
    kept = gigabytes(storage, prices, prices.retention_months) * prices.per_gb_month
    return kept + encoding_a_month(storage, prices)


def spent(storage: Storage, prices: Prices, months: float) -> float:
    """What was spent `months` after the stream began: the integral of the store over time, and encoding."""
    growing = min(months, prices.retention_months)
    image_months = (
        prices.images_per_day
        * DAYS
        * (growing**2 / 2 + prices.retention_months * (months - growing))
    )
    stored = (image_months * storage.bytes_each + months * storage.codec_bytes) / GB
    return stored * prices.per_gb_month + months * encoding_a_month(storage, prices)
