"""Formats of images: raw pixels, files of the data set, and image files of several kinds."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.random_samples import CONTEXT, RandomSource, samples
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.formats import ExemplarFormat, FormatContext, _image_file, build_format
from seit_cl.formats._jxl import distance_of
from seit_cl.formats.jpeg_scan import JpegScanFormat
from seit_cl.memory import ByteBudgetBuffer


def size_and_error(fmt: ExemplarFormat, count: int) -> tuple[int, float]:
    """Bytes of the records of `count` samples, and the mean absolute error of their pixels."""
    records = fmt.encode(samples(count))
    difference = fmt.decode(records).float() - samples(count).pixels().float()
    return int(records.lengths.sum()), float(difference.abs().mean())


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
    formats = [build_format(f"jpeg:quality={quality}", CONTEXT) for quality in (10, 50, 95)]
    sizes, errors = zip(*[size_and_error(fmt, 20) for fmt in formats], strict=True)
    assert list(sizes) == sorted(sizes)
    assert list(errors) == sorted(errors, reverse=True)
    assert errors[-1] < 6


def test_jpeg_stored_at_a_smaller_side_is_decoded_to_the_learners_side():
    small_size, error = size_and_error(build_format("jpeg:size=16", CONTEXT), 8)
    large_size, _ = size_and_error(build_format("jpeg", CONTEXT), 8)
    assert small_size < large_size
    assert error < 20


def test_jpeg_files_carry_no_metadata_and_are_420():
    record = build_format("jpeg", CONTEXT).encode(samples(1)).to_bytes()[0]
    assert record[:2] == b"\xff\xd8"
    assert record[-2:] == b"\xff\xd9"
    header = record[: record.index(b"\xff\xda")]
    exif = b"\xff\xe1"
    icc = b"\xff\xe2"
    photoshop = b"\xff\xed"
    comment = b"\xff\xfe"
    for marker in (exif, icc, photoshop, comment):
        assert marker not in header
    frame = record.index(b"\xff\xc0")
    assert record[frame + 11] == 0x22  # luma sampled 2x2 against chroma


@pytest.mark.parametrize("name", ["jpeg", "jpeg_scan"])
def test_more_chroma_is_longer_and_closer_and_is_in_the_spec(name):
    formats = [build_format(f"{name}:chroma={chroma}", CONTEXT) for chroma in (420, 422, 444)]
    sizes, errors = zip(*[size_and_error(fmt, 20) for fmt in formats], strict=True)
    assert list(sizes) == sorted(sizes)
    assert list(errors) == sorted(errors, reverse=True)
    default = f"{name}:quality=75,size=32"
    specs = [fmt.spec for fmt in formats]
    assert specs == [default, f"{default},chroma=422", f"{default},chroma=444"]


def test_originals_are_the_files_and_are_decoded_to_the_data_sets_pixels():
    fmt = build_format("jpeg:original", CONTEXT)
    records = fmt.encode(samples(6))
    assert fmt.spec == "jpeg:original" == build_format("jpeg-original", CONTEXT).spec
    assert records.to_bytes() == samples(6).files()
    assert torch.equal(fmt.decode(records), samples(6).pixels())


def test_an_argument_that_names_no_format_is_refused():
    with pytest.raises(UserError, match="'orignal' is not key=value"):
        build_format("jpeg:orignal", CONTEXT)


def test_jxl_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    for name in ("jxl", "jxl:original"):
        with pytest.raises(UserError, match=f"^{name}: .*pip install"):
            build_format(name, CONTEXT)


@pytest.mark.parametrize(
    ("quality", "distance"), [(100, 0.0), (99, 0.19), (90, 1.0), (30, 6.4), (0, 25.0)]
)
def test_jxl_qualities_are_libjxls_distances(quality, distance):
    assert distance_of(quality) == pytest.approx(distance)


def jpeg_file(side: int, **settings) -> bytes:
    """A JPEG file of a smooth image with noise."""
    ramp = np.linspace(0, 200, side)
    noise = np.random.default_rng(side).integers(0, 40, (side, side, 3))
    image = Image.fromarray((ramp[:, None, None] + noise).astype(np.uint8))
    out = io.BytesIO()
    image.save(out, "JPEG", **settings)
    return out.getvalue()


def test_originals_as_jpeg_xl_are_shorter_and_come_back_bit_for_bit():
    files = [jpeg_file(side, quality=90, progressive=side == 96) for side in (96, 128, 160)]
    offered = Samples.of_files(files, [0, 1, 2])
    fmt = build_format("jxl:original", CONTEXT)
    records = fmt.encode(offered)
    assert [fmt._file(record) for record in records.to_bytes()] == files
    stored = records.lengths.tolist()
    assert all(length < len(file) for length, file in zip(stored, files, strict=True))
    as_they_are = build_format("jpeg:original", CONTEXT)
    assert torch.equal(fmt.decode(records), as_they_are.decode(as_they_are.encode(offered)))


def test_originals_that_are_no_jpegs_or_would_grow_are_stored_as_they_are():
    png = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(png, "PNG")
    tiny = jpeg_file(8, quality=10)
    cut = jpeg_file(96)[:900]
    fmt = build_format("jxl:original", CONTEXT)
    for file in (png.getvalue(), tiny, cut):
        assert fmt.encode(Samples.of_files([file], [0])).to_bytes() == [file]


@pytest.mark.parametrize("quality", [94, 100])
def test_jpeg_writes_incompressible_images(quality):
    class Noise(RandomSource):
        def pixels(self, ids):
            return self.draw(ids, (3, 256, 256), 256).to(torch.uint8)

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
    scan = build_format(f"jpeg_scan:{spec}", CONTEXT)
    whole = build_format(f"jpeg:{spec}", CONTEXT)
    pixels = whole.decode(whole.encode(samples(12)))
    assert torch.equal(scan.decode(scan.encode(samples(12))), pixels)


def test_a_jpeg_scan_is_a_jpeg_file_without_its_header():
    fmt = build_format("jpeg_scan:quality=50", CONTEXT)
    record = fmt.encode(samples(1)).to_bytes()[0]
    whole = build_format("jpeg:quality=50", CONTEXT).encode(samples(1)).to_bytes()[0]
    assert len(whole) - len(record) > 250
    assert fmt.side_info == b""
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
def test_lossy_files_are_shorter_and_less_exact_at_lower_quality(name):
    formats = [build_format(f"{name}:quality={quality}", CONTEXT) for quality in (5, 50, 95)]
    sizes, errors = zip(*[size_and_error(fmt, 12) for fmt in formats], strict=True)
    assert list(sizes) == sorted(sizes)
    assert list(errors) == sorted(errors, reverse=True)
    assert errors[-1] < 6


@pytest.mark.parametrize("name", ["webp", "avif", "png"])
def test_files_name_their_kind_and_carry_no_metadata(name):
    fmt = build_format(f"{name}:size=16", CONTEXT)
    image = Image.open(io.BytesIO(fmt.encode(samples(1)).to_bytes()[0]))
    assert (image.format, image.size) == (name.upper(), (16, 16))
    assert not image.getexif()
    assert not {"icc_profile", "exif", "xmp"} & image.info.keys()


def test_jxl_writes_codestreams_without_a_container():
    record = build_format("jxl:size=16", CONTEXT).encode(samples(1)).to_bytes()[0]
    assert record.startswith(b"\xff\x0a")


@pytest.mark.parametrize(
    "spec",
    ["webp:quality=101", "avif:quality=-1", "jxl:quality=101", "png:size=33", "webp:size=-1"],
)
def test_options_out_of_range_are_refused_by_the_formats_name(spec):
    with pytest.raises(UserError, match=spec.partition(":")[0]):
        build_format(spec, CONTEXT)


@pytest.mark.parametrize("kind", ["webp", "avif"])
@pytest.mark.parametrize("options", ["quality=0", "quality=25", "quality=60,size=23", "quality=90"])
def test_a_scan_gives_the_pixels_of_the_file_it_was_cut_from(kind, options):
    scan = build_format(f"{kind}_scan:{options}", CONTEXT)
    whole = build_format(f"{kind}:{options}", CONTEXT)
    records = scan.encode(samples(12))
    files = whole.encode(samples(12))
    assert torch.equal(scan.decode(records), whole.decode(files))
    saved = {"webp": 27, "avif": 285}[kind]
    assert (files.lengths - records.lengths >= saved).all()


def test_the_header_that_avif_scans_share_is_counted_and_restored(tmp_path):
    fmt = build_format("avif_scan:quality=50", CONTEXT)
    assert 5 < len(fmt.side_info) < 20
    memory = ByteBudgetBuffer(5000, fmt, CONTEXT)
    memory.offer(samples(20))
    assert memory.bytes_by_kind()["side_info"] == len(fmt.side_info)
    memory.save(tmp_path / "memory.bin")
    assert (tmp_path / "memory.bin").stat().st_size == memory.used_bytes <= 5000
    loaded = ByteBudgetBuffer.load(tmp_path / "memory.bin")
    ids = torch.arange(len(memory))
    assert torch.equal(loaded.by_ids(ids).inputs, memory.by_ids(ids).inputs)
    with pytest.raises(ValueError, match="has no sequence header"):
        fmt.side_info = b""


def test_libraries_that_write_other_files_are_refused(monkeypatch):
    write = _image_file.write_image
    monkeypatch.setattr(
        "seit_cl.formats._webp.write_image",
        lambda image, kind, **settings: write(image, kind, lossless=True),
    )
    with pytest.raises(UserError, match="more than one frame; use webp"):
        build_format("webp_scan", CONTEXT).encode(samples(1))
    monkeypatch.setattr(
        "seit_cl.formats._avif.write_image", lambda image, kind, **settings: b"mdat" + bytes(30)
    )
    with pytest.raises(UserError, match="writes other parts; use avif"):
        build_format("avif_scan", CONTEXT)
