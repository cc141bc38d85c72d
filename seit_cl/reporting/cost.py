"""The cost of storing a stream of images in a format: its bytes, the codec's, and encoding time.

The store is empty when the stream begins, and every image is stored for the retention time. A month
is 365.25 / 12 days, a GB is 10^9 bytes, and money is in the currency of the prices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from seit_cl.core.errors import UserError

DAYS = 365.25 / 12  # of a month
GB = 1_000_000_000
SMALLEST = 1e-9  # of numbers that must be above 0
LARGEST = 1e12  # of prices and of what they are multiplied by
# Options of `report` and `density`, with their help.
REQUIRED_PRICES = {
    "--cost-per-gb-month": "price of storing a GB (10^9 bytes) for a month, in any currency; "
    "adds the cost of storing the stream",
    "--images-per-day": "images of the stream, all of which are stored",
    "--retention-months": "time for which every image is stored",
}
ENCODING_PRICE = "--cost-per-core-hour"
ENCODING_HELP = (
    "price of a core-hour of tokenizing and encoding; by default storage alone is priced"
)


@dataclass(frozen=True)
class Prices:
    """A stream of images and the prices of its storage.

    Args:
        per_gb_month: price of storing a GB for a month.
        images_per_day: number of images that arrive in a day.
        retention_months: time for which every image is stored.
        per_core_hour: price of an hour of a processor core, or of the GPU where the runs encoded on
            one; 0: encoding is free.

    Raises:
        UserError: a number is negative, not finite, or 0 where it must be above.
    """

    per_gb_month: float
    images_per_day: float
    retention_months: float
    per_core_hour: float = 0.0

    def __post_init__(self) -> None:
        _check("--cost-per-gb-month", self.per_gb_month, 0.0)
        _check("--images-per-day", self.images_per_day, SMALLEST)
        _check("--retention-months", self.retention_months, SMALLEST)
        _check("--cost-per-core-hour", self.per_core_hour, 0.0)


def prices_of(values: Mapping[str, float | None]) -> Prices | None:
    """The prices on a command line; None if it has none of them.

    Args:
        values: by option, of REQUIRED_PRICES and ENCODING_PRICE.

    Raises:
        UserError: a price is missing, or is none that storage can have.
    """
    if all(value is None for value in values.values()):
        return None
    missing = [option for option in REQUIRED_PRICES if values[option] is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} missing: the cost of storage needs "
            f"{', '.join(REQUIRED_PRICES)}"
        )
    per_gb_month, images_per_day, retention = (values[each] or 0.0 for each in REQUIRED_PRICES)
    return Prices(per_gb_month, images_per_day, retention, values[ENCODING_PRICE] or 0.0)


def _check(option: str, value: float, minimum: float) -> None:
    """Refuse a value below the minimum, or one so large that a sum of costs may not be finite.

    Raises:
        UserError: names the option.
    """
    if not minimum <= value <= LARGEST:
        condition = "above 0" if minimum > 0 else "0 or more"
        condition += f", at most {LARGEST:g}"
        raise UserError(f"{option} {value:g}: must be {condition}")


@dataclass(frozen=True)
class Storage:
    """The measured storage of a format.

    Args:
        bytes_each: bytes of an exemplar, with its share of the memory file's header.
        codec_bytes: bytes stored once, whatever the number of images.
        core_seconds: seconds of a processor core to tokenize and encode one image; nan if no run
            measured it.
    """

    bytes_each: float
    codec_bytes: float
    core_seconds: float = math.nan


def stored_images(prices: Prices, months: float) -> float:
    """The number of images in the store `months` after the stream began."""
    return prices.images_per_day * DAYS * min(months, prices.retention_months)


def gigabytes(storage: Storage, prices: Prices, months: float) -> float:
    """The GB in the store `months` after the stream began, with the codec."""
    return (stored_images(prices, months) * storage.bytes_each + storage.codec_bytes) / GB


def core_hours_a_month(storage: Storage, prices: Prices) -> float:
    """The core-hours it takes to encode a month of the stream; nan if they were not measured."""
    return prices.images_per_day * DAYS * storage.core_seconds / 3600


def encoding_a_month(storage: Storage, prices: Prices) -> float:
    """The cost of encoding a month of the stream.

    Returns:
        0 if encoding is free, otherwise nan if its time was not measured.
    """
    if prices.per_core_hour == 0:
        return 0.0
    return core_hours_a_month(storage, prices) * prices.per_core_hour


def month_when_full(storage: Storage, prices: Prices) -> float:
    """The cost of a month once images leave the store as fast as they arrive."""
    storing = gigabytes(storage, prices, prices.retention_months) * prices.per_gb_month
    return storing + encoding_a_month(storage, prices)


def spent(storage: Storage, prices: Prices, months: float) -> float:
    """The cost of the first `months` of the stream: the growing store, and encoding."""
    growing = min(months, prices.retention_months)
    full = months - growing
    image_months = prices.images_per_day * DAYS * (growing**2 / 2 + prices.retention_months * full)
    gb_months = (image_months * storage.bytes_each + months * storage.codec_bytes) / GB
    return gb_months * prices.per_gb_month + months * encoding_a_month(storage, prices)
