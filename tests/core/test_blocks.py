"""Blocks of images: bounded in pixels."""

from hypothesis import given
from hypothesis import strategies as st

from seit_cl.core.blocks import IMAGES, PIXELS, images_at_once, slices


@given(st.integers(1, 20_000), st.sampled_from([1, 64, 256, IMAGES]))
def test_a_block_has_at_most_so_many_images_and_pixels_and_at_least_one(
    side: int, most: int
) -> None:
    images = images_at_once(side, most)
    assert 1 <= images <= most
    assert images == 1 or images * side**2 <= PIXELS


def test_blocks_of_up_to_256_px_are_of_the_same_number_of_images() -> None:
    assert images_at_once(256, 64) == images_at_once(32, 64) == 64
    assert images_at_once(512, 64) == 16


@given(st.integers(0, 50), st.integers(1, 60))
def test_slices_cover_everything_once(count: int, size: int) -> None:
    places = [place for part in slices(count, size) for place in range(count)[part]]
    assert places == list(range(count))
