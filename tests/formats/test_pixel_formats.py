"""Raw and JPEG exemplars."""

import io
import sys

import pytest
import torch
from PIL import Image

from helpers.random_samples import CONTEXT, RandomSource, samples
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats.jpeg_scan import JpegScanFormat


def test_raw_is_lossless_and_three_bytes_a_pixel():
    fmt = build_format("raw", CONTEXT)
    assert fmt.fixed_length == 3 * 32 * 32
    assert torch.equal(fmt.decode(fmt.encode(samples(4))), samples(4).pixels())


def test_jpeg_spec_writes_every_option_out():
    assert build_format("jpeg", CONTEXT).spec == "jpeg:quality=75,size=32"
    assert build_format("jpeg:size=16,quality=30", CONTEXT).spec == "jpeg:quality=30,size=16"


@pytest.mark.parametrize(
    "option", ["quality=0", "quality=101", "size=-1", "size=33", "size=x", "chroma=411"]
)
def test_jpeg_refuses_bad_options(option):
    with pytest.raises(UserError, match="jpeg"):
        build_format(f"jpeg:{option}", CONTEXT)


def test_jpeg_is_close_and_lower_quality_is_shorter():
    sizes, errors = [], []
    for quality in (10, 50, 95):
        fmt = build_format(f"jpeg:quality={quality}", CONTEXT)
        records = fmt.encode(samples(20))
        sizes.append(int(records.lengths.sum()))
        errors.append(
            float((fmt.decode(records).float() - samples(20).pixels().float()).abs().mean())
        )
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True) and errors[-1] < 6


def test_jpeg_stored_smaller_comes_back_at_the_learners_side():
    small, large = build_format("jpeg:size=16", CONTEXT), build_format("jpeg", CONTEXT)
    records = small.encode(samples(8))
    assert records.lengths.sum() < large.encode(samples(8)).lengths.sum()
    assert (small.decode(records).float() - samples(8).pixels().float()).abs().mean() < 20


def test_jpeg_files_carry_no_metadata_and_are_420():
    record = build_format("jpeg", CONTEXT).encode(samples(1)).to_bytes()[0]
    assert record[:2] == b"\xff\xd8" and record[-2:] == b"\xff\xd9"
    for marker in (
        b"\xff\xe1",
        b"\xff\xe2",
        b"\xff\xed",
        b"\xff\xfe",
    ):  # Exif, ICC, Photoshop, comment
        assert marker not in record[: record.index(b"\xff\xda")]
    frame = record.index(b"\xff\xc0")
    assert record[frame + 11] == 0x22  # luma sampled 2x2 against chroma


@pytest.mark.parametrize("name", ["jpeg", "jpeg_scan"])
def test_more_chroma_is_longer_nearer_and_named(name):
    sizes, errors = [], []
    for chroma in (420, 422, 444):
        fmt = build_format(f"{name}:chroma={chroma}", CONTEXT)
        records = fmt.encode(samples(20))
        sizes.append(int(records.lengths.sum()))
        errors.append(
            float((fmt.decode(records).float() - samples(20).pixels().float()).abs().mean())
        )
        assert fmt.spec == f"{name}:quality=75,size=32" + (
            f",chroma={chroma}" if chroma != 420 else ""
        )
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def test_originals_are_the_files_and_come_back_as_the_run_read_them():
    fmt = build_format("jpeg:original", CONTEXT)
    records = fmt.encode(samples(6))
    assert fmt.spec == "jpeg:original" == build_format("jpeg-original", CONTEXT).spec
    assert records.to_bytes() == samples(6).files() and torch.equal(
        fmt.decode(records), samples(6).pixels()
    )


def test_a_bare_word_that_names_no_format_is_refused():
    with pytest.raises(UserError, match="'orignal' is not key=value"):
        build_format("jpeg:orignal", CONTEXT)


def test_jxl_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(UserError, match="pip install"):
        build_format("jxl", CONTEXT)


@pytest.mark.parametrize("quality", [94, 100])
def test_jpeg_writes_incompressible_images(quality):
    class Noise(RandomSource):
        def pixels(self, ids):
            return self._random(ids, (3, 256, 256), 256).to(torch.uint8)

    context = FormatContext(256, 10, 16, (1, 4, 4), "test")
    fmt = build_format(f"jpeg:quality={quality}", context)
    records = fmt.encode(
        Samples(torch.arange(2), torch.zeros(2, dtype=torch.int64), Noise(context))
    )
    assert fmt.decode(records).shape == (2, 3, 256, 256)


@pytest.mark.parametrize(
    "spec",
    [
        "quality=1",
        "quality=25",
        "quality=49,size=16",
        "quality=75,size=23",
        "quality=100",
        "chroma=422",
        "chroma=444,size=23",
    ],
)
def test_a_jpeg_scan_gives_the_pixels_of_the_jpeg_it_was_cut_from(spec):
    scan, whole = build_format(f"jpeg_scan:{spec}", CONTEXT), build_format(f"jpeg:{spec}", CONTEXT)
    assert torch.equal(
        scan.decode(scan.encode(samples(12))), whole.decode(whole.encode(samples(12)))
    )


def test_a_jpeg_scan_is_a_jpeg_file_without_its_header():
    fmt = build_format("jpeg_scan:quality=50", CONTEXT)
    record = fmt.encode(samples(1)).to_bytes()[0]
    whole = build_format("jpeg:quality=50", CONTEXT).encode(samples(1)).to_bytes()[0]
    assert len(whole) - len(record) > 250 and fmt.side_info == b""
    image = Image.open(io.BytesIO(fmt.header + record + b"\xff\xd9"))
    assert (image.format, image.size, image.mode) == ("JPEG", (32, 32), "RGB")
    assert image.quantization == Image.open(io.BytesIO(whole)).quantization


def test_a_jpeg_library_with_tables_of_its_own_is_refused(monkeypatch):
    write = JpegScanFormat._write
    monkeypatch.setattr(
        JpegScanFormat, "_write", lambda self, image, optimize: write(self, image, True)
    )
    with pytest.raises(UserError, match="standard's tables; use jpeg"):
        build_format("jpeg_scan", CONTEXT).encode(samples(1))


def test_jpeg_scan_names_itself_where_it_refuses_options():
    assert build_format("jpeg-scan:quality=30", CONTEXT).spec == "jpeg_scan:quality=30,size=32"
    with pytest.raises(UserError, match="jpeg_scan: quality=0"):
        build_format("jpeg_scan:quality=0", CONTEXT)


@pytest.mark.parametrize("spec", ["png", "jxl:quality=100"])
def test_lossless_files_are_exact_and_smaller_than_raw(spec):
    fmt = build_format(spec, CONTEXT)
    records = fmt.encode(samples(8))
    assert torch.equal(fmt.decode(records), samples(8).pixels())
    assert int(records.lengths.sum()) < 8 * 3 * 32 * 32


@pytest.mark.parametrize("name", ["webp", "avif", "jxl"])
def test_lossy_files_are_shorter_and_farther_off_at_lower_quality(name):
    sizes, errors = [], []
    for quality in (5, 50, 95):
        fmt = build_format(f"{name}:quality={quality}", CONTEXT)
        records = fmt.encode(samples(12))
        sizes.append(int(records.lengths.sum()))
        errors.append(
            float((fmt.decode(records).float() - samples(12).pixels().float()).abs().mean())
        )
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True) and errors[-1] < 6


@pytest.mark.parametrize("name", ["webp", "avif", "png", "jxl"])
def test_files_name_their_kind_and_carry_no_metadata(name):
    fmt = build_format(f"{name}:size=16", CONTEXT)
    image = Image.open(io.BytesIO(fmt.encode(samples(1)).to_bytes()[0]))
    assert (image.format, image.size) == (name.upper(), (16, 16))
    made_up = (
        {"icc_profile"} if name == "jxl" else set()
    )  # its decoder writes one of the colour space's name
    assert not image.getexif() and not {"icc_profile", "exif", "xmp"} & image.info.keys() - made_up


@pytest.mark.parametrize(
    "spec",
    ["webp:quality=101", "avif:quality=-1", "jxl:quality=101", "png:size=33", "webp:size=-1"],
)
def test_options_out_of_range_are_refused_by_the_formats_name(spec):
    with pytest.raises(UserError, match=spec.partition(":")[0]):
        build_format(spec, CONTEXT)
