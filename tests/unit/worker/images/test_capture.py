"""When and with what a photo was taken is read from its metadata, whatever somebody has written there."""

import struct
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from tests import pictures
from worker.config import ImageLimits
from worker.images.capture import MAX_CAMERA_CHARACTERS, NO_CAPTURE, Capture
from worker.images.decoding import decode

MAKE, MODEL, CHANGED = 0x010F, 0x0110, 0x0132
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825
ORIGINAL, DIGITIZED = 0x9003, 0x9004
ORIGINAL_OFFSET, DIGITIZED_OFFSET = 0x9011, 0x9012
TAKEN = datetime(2024, 6, 1, 14, 30, 59)

PICTURE = Pillow.fromarray(pictures.gradient_picture(64, 48))


def exif(tags: dict[int, object], inner: dict[int, object] | None = None) -> Pillow.Exif:
    made = Pillow.Exif()
    made.update(tags)
    if inner:
        made.get_ifd(EXIF_DIRECTORY).update(inner)
        made[EXIF_DIRECTORY] = 0  # where it is: Pillow fills that in, but writes a TIFF's only if there is a value
    return made


def capture(data: bytes) -> Capture:
    return decode(data, limits=ImageLimits()).capture


def capture_of_exif(tags: dict[int, object], inner: dict[int, object] | None = None) -> Capture:
    return capture(pictures.pillow_bytes(PICTURE, "JPEG", exif=exif(tags, inner)))


def taken(value: object) -> datetime | None:
    return capture_of_exif({}, {ORIGINAL: value}).taken_at


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC", "MPO"])
def test_every_format_that_carries_exif_says_when_and_with_what_a_photo_was_taken(file_format: str) -> None:
    metadata = exif(
        {MAKE: "Canon", MODEL: "Canon EOS 5D"}, {ORIGINAL: "2024:06:01 14:30:59", ORIGINAL_OFFSET: "+05:30"}
    )
    data = (
        pictures.heic(PICTURE, exif=metadata.tobytes())
        if file_format == "HEIC"
        else pictures.pillow_bytes(PICTURE, file_format, exif=metadata)
    )

    assert capture(data) == Capture(taken_at=TAKEN, utc_offset_minutes=330, camera="Canon EOS 5D")


def test_a_picture_without_metadata_says_nothing() -> None:
    assert capture(pictures.pillow_bytes(PICTURE, "JPEG")) == NO_CAPTURE


def test_the_moment_of_the_photo_comes_before_that_of_its_scan_and_each_has_its_own_time_zone() -> None:
    scan = {DIGITIZED: "2025:01:01 00:00:00", DIGITIZED_OFFSET: "-08:00"}

    assert capture_of_exif({}, {ORIGINAL: "2024:06:01 14:30:59", **scan}) == Capture(taken_at=TAKEN)
    only_scanned = capture_of_exif({}, scan)
    assert only_scanned.taken_at == datetime(2025, 1, 1)
    assert only_scanned.utc_offset_minutes == -480


def test_an_unreadable_moment_of_the_photo_leaves_that_of_its_scan() -> None:
    read = capture_of_exif({}, {ORIGINAL: "    :  :     :  :  ", DIGITIZED: "2024:06:01 14:30:59"})

    assert read.taken_at == TAKEN


def test_when_a_file_was_changed_is_not_when_the_photo_was_taken() -> None:
    assert capture_of_exif({CHANGED: "2024:06:01 14:30:59"}) == NO_CAPTURE


@pytest.mark.parametrize(
    "value",
    [
        "2024:06:01 14:30:59",
        "2024-06-01 14:30:59",
        "2024/06/01 14:30:59",
        "2024:06:01T14:30:59",
        "2024:06:01 14:30:59\0\0",
        " 2024:06:01 14:30:59 ",
        "2024:06:01 14:30:59.123",
        "2024-06-01T14:30:59+02:00",
        b"2024:06:01 14:30:59\0",
    ],
)
def test_a_date_is_read_as_cameras_and_programs_write_it(value: object) -> None:
    assert taken(value) == TAKEN


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2024:13:01 00:00:00",
        "2024:02:30 00:00:00",
        "2024:06:01 24:00:00",
        "1825:12:31 23:59:59",
        "9999:12:31 23:59:59",
        "yesterday",
        "2024:06:01 14:30:5\N{ARABIC-INDIC DIGIT NINE}".encode(),
        "2024:06:01 14:30:59" * 3000,
        b"\xff\xfe\0\1",
    ],
)
def test_a_date_that_is_none_is_not_kept(value: object) -> None:
    assert taken(value) is None


@pytest.mark.parametrize(
    ("value", "minutes"),
    [
        ("+00:00", 0),
        ("Z", 0),
        ("-03:30", -210),
        ("+14:00", 840),
        (b"+02:00\0", 120),
        ("+15:00", None),
        ("-15:00", None),
        ("+02:60", None),
        ("   :  ", None),
        ("CEST", None),
        ("", None),
    ],
)
def test_a_time_zone_is_kept_where_there_may_be_one(value: object, minutes: int | None) -> None:
    read = capture_of_exif({}, {ORIGINAL: "2024:06:01 14:30:59", ORIGINAL_OFFSET: value})

    assert read.taken_at == TAKEN
    assert read.utc_offset_minutes == minutes


def test_a_time_zone_without_a_moment_says_nothing() -> None:
    assert capture_of_exif({}, {ORIGINAL_OFFSET: "+02:00"}) == NO_CAPTURE


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D70", "NIKON D70"),
        ("EASTMAN KODAK COMPANY", "KODAK DX6490", "KODAK DX6490"),
        ("Apple", "iPhone 15 Pro", "Apple iPhone 15 Pro"),
        ("Apple", "", "Apple"),
        ("", "DMC-FZ50", "DMC-FZ50"),
        ("SONY", "sony", "sony"),
        ("  Apple \0\0", "iPhone\t15\n Pro", "Apple iPhone 15 Pro"),
        ("A\x1b[31mB", "<script>\u202e".encode(), "A[31mB <script>"),
        ("Hersteller Müller".encode(), "", "Hersteller Müller"),
        ("Hersteller Müller".encode("latin-1"), "", "Hersteller Müller"),
        ("x" * 60_000, "y", "x" * MAX_CAMERA_CHARACTERS),
        ("", "", ""),
    ],
)
def test_a_camera_is_its_maker_and_its_model_said_once_and_clean(make: object, model: object, camera: str) -> None:
    assert capture_of_exif({MAKE: make, MODEL: model}).camera == camera


def test_numbers_where_words_belong_say_nothing() -> None:
    """Each tag as numbers: Pillow would refuse to write such a file, so its directory is made here."""
    tags = [(tag, 4, 1, 7) for tag in (MAKE, MODEL)] + [(EXIF_DIRECTORY, 4, 1, 8 + 2 + 3 * 12 + 4)]
    inner = [(tag, 3, 2, 7) for tag in (ORIGINAL, DIGITIZED, ORIGINAL_OFFSET)]
    block = b"II*\0" + struct.pack("<I", 8) + _directory(tags) + _directory(inner)

    assert capture(pictures.pillow_bytes(PICTURE, "JPEG", exif=block)) == NO_CAPTURE


@pytest.mark.parametrize("place", [0, 8, 2**31, 2**32 - 1])
def test_a_directory_that_is_nowhere_or_inside_itself_says_nothing(place: int) -> None:
    block = b"II*\0" + struct.pack("<I", 8) + _directory([(EXIF_DIRECTORY, 4, 1, place)])

    assert capture(pictures.pillow_bytes(PICTURE, "JPEG", exif=block)) == NO_CAPTURE


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_whatever_the_metadata_are_the_picture_is_read(block: bytes, date: bytes) -> None:
    for metadata in (b"II*\0\x08\0\0\0" + block, exif({MAKE: date}, {ORIGINAL: date, ORIGINAL_OFFSET: date}).tobytes()):
        read = capture(pictures.pillow_bytes(PICTURE, "JPEG", exif=metadata))
        assert len(read.camera) <= MAX_CAMERA_CHARACTERS
        assert read.camera.isprintable()


def _directory(tags: list[tuple[int, int, int, int]]) -> bytes:
    return struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
