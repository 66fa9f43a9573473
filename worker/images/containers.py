"""A file with several pictures -> the one that is the photo.

Most formats say it themselves: a HEIC names its primary picture, a JPEG's is the one before all others (CIPA DC-007),
and of a moving picture it is the first frame, even a blank one: another would be ours to choose. A TIFF (TIFF 6.0,
DNG 1.7) has directories, in a chain and below each other, of which the first may be a preview; camera raws are such
files, whose photo nobody has developed yet. The JPEG that a camera has made of it is taken if it is as large.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, NamedTuple

from PIL.TiffImagePlugin import COMPRESSION_INFO

from worker.errors import UnsupportedImage
from worker.images.cleaning.formats import cleaned
from worker.images.cleaning.jpeg import frame_of
from worker.images.cleaning.result import Cleaned
from worker.images.exif import Layout, layout_of, orientation_in

#: Directories that are looked at. Raws have a handful; of a scan with more pages, the first one is the photo anyway.
MOST_DIRECTORIES: Final = 32
#: The smallest share of a sensor's pixels that a raw's JPEG must have: sensors have a border that no picture shows.
FULL_SIZE_SHARE: Final = 0.8

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _MAKE = 254, 255, 256, 257, 259, 262, 271
_PLACES, _BYTES, _TILE_PLACES, _BELOW, _JPEG_PLACE, _JPEG_BYTES, _DNG_VERSION = 273, 279, 324, 330, 513, 514, 50706
_READ: Final = frozenset(
    (
        *(_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _PLACES, _BYTES, _TILE_PLACES),
        *(_BELOW, _JPEG_PLACE, _JPEG_BYTES, _DNG_VERSION),
    )
)
#: Of NewSubfileType: reduced, and a page; all other bits (masks, depth maps, what Adobe's programs enhanced) are for
#: what is made of a photo. Of the older SubfileType: reduced.
_IS_REDUCED, _IS_PAGE, _OLD_REDUCED = 1, 2, 2
#: Photometric interpretations of what a sensor saw: through a colour filter, and all colours in each place.
_SENSORS: Final = (32803, 34892)
#: How makers pack that, in directories that do not say so: Sony, Samsung, Nikon, Kodak and Pentax.
_PACKED_SENSORS: Final = (32767, 32769, 32770, 34713, 65000, 65535)
_JPEGS: Final = (6, 7)
#: Enough for all that stands before a JPEG's frame header; and how many JPEGs are looked at. Raws have two or three.
_JPEG_HEAD_BYTES: Final = 2**17
_MOST_JPEGS: Final = 8
_MAKE_BYTES: Final = 16
_MAKERS: Final = {
    b"NIKON": "Nikon NEF",
    b"CANON": "Canon CR2",
    b"SONY": "Sony ARW",
    b"PENTAX": "Pentax PEF",
    b"RICOH": "Pentax PEF",
    b"SAMSUNG": "Samsung SRW",
    b"HASSELBLAD": "Hasselblad 3FR",
    b"PHASE ONE": "Phase One IIQ",
    b"LEAF": "Leaf MOS",
    b"EPSON": "Epson ERF",
    b"SEIKO EPSON": "Epson ERF",
    b"KODAK": "Kodak DCR",
    b"EASTMAN KODAK": "Kodak DCR",
}
#: Raws in formats of their makers' own: what stands where.
_OWN_FORMATS: Final = (
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"IIU\0", "Panasonic RW2"),
    (4, b"ftypcrx ", "Canon CR3"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (0, b"FOVb", "Sigma X3F"),
    (0, b"\0MRM", "Minolta MRW"),
)
_UNKNOWN_COMPRESSIONS: Final = {
    34661: "JBIG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34933: "PNG",
    34934: "JPEG XR",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


def cleaned_photo(data: bytes) -> Cleaned:
    """Return what the decoder is given of the picture in this file that is the photo.

    Raises UnsupportedImage, which names the format, for a photo that cannot be decoded, where another picture of the
    file could be: nobody would see that it is not the photo.
    """
    for place, mark, name in _OWN_FORMATS:
        if data.startswith(mark, place):
            raise UnsupportedImage(f"The file is a camera raw ({name}), which is not supported; export it as JPEG.")
    layout = layout_of(data)
    if layout is None:
        return cleaned(data)
    directories = list(_directories(data, layout))
    sensor_pixels = _sensor_pixels(data, directories)
    if sensor_pixels is not None:
        return _raws_jpeg(data, layout, directories, sensor_pixels)
    photo = _photo(directories)
    if photo is None:
        return cleaned(data)
    compression = photo.first(_COMPRESSION, 1)
    if compression not in COMPRESSION_INFO:
        name = _UNKNOWN_COMPRESSIONS.get(compression, f"by method {compression}")
        raise UnsupportedImage(f"TIFF pictures that are packed with {name} are not supported.")
    if any(each.is_lossless for each in _jpegs(data, [photo])):
        raise UnsupportedImage("TIFF pictures that are packed with JPEG without loss are not supported.")
    return cleaned(data, directory=photo.place)


def is_whole_tiff(data: bytes) -> bool:
    """Tell whether a TIFF's first directory says where its pixels are: then it is not cut short in its header."""
    layout = layout_of(data)
    first = next(_directories(data, layout), None) if layout is not None else None
    return first is not None and first.has_pixels


@dataclass(frozen=True, slots=True)
class _Directory:
    """A TIFF's directory: where it begins, and the numbers of the tags that we read."""

    place: int
    tags: dict[int, tuple[int, ...]]

    def first(self, tag: int, default: int = 0) -> int:
        return (self.tags.get(tag) or (default,))[0]

    @property
    def pixels(self) -> int:
        return self.first(_WIDTH) * self.first(_HEIGHT)

    @property
    def has_pixels(self) -> bool:
        return self.pixels > 0 and (_PLACES in self.tags or _TILE_PLACES in self.tags)

    @property
    def is_reduced(self) -> bool:
        if _SUBFILE in self.tags:
            return bool(self.first(_SUBFILE) & _IS_REDUCED)
        return self.first(_OLD_SUBFILE) == _OLD_REDUCED

    @property
    def may_be_photo(self) -> bool:
        return self.has_pixels and not self.first(_SUBFILE) & ~(_IS_REDUCED | _IS_PAGE)

    @property
    def is_sensor(self) -> bool:
        return self.first(_PHOTOMETRIC) in _SENSORS or self.first(_COMPRESSION) in _PACKED_SENSORS


def _directories(data: bytes, layout: Layout) -> Iterator[_Directory]:
    """Yield the directories of the chain, each followed by those below it."""
    waiting, seen = [layout.first_directory], set[int]()
    while waiting and len(seen) < MOST_DIRECTORIES:
        place = waiting.pop(0)
        if place in seen or not 0 < place < len(data):
            continue
        seen.add(place)
        tags: dict[int, tuple[int, ...]] = {}
        for entry in layout.directory(data, place):
            if entry.tag in _READ:
                tags.setdefault(entry.tag, layout.numbers(data, entry, most=MOST_DIRECTORIES))
        yield _Directory(place, tags)
        waiting = [*tags.get(_BELOW, ()), layout.following(data, place), *waiting]


def _photo(directories: list[_Directory]) -> _Directory | None:
    """Return the first page that is no preview; of previews alone, the largest."""
    pictures = [each for each in directories if each.may_be_photo]
    first = next((each for each in pictures if not each.is_reduced), None)
    return first or max(pictures, key=lambda each: each.pixels, default=None)


# Camera raws


class _Jpeg(NamedTuple):
    """A whole JPEG inside a file: its bytes from here to there, and its pixels. `is_lossless`: a sensor's."""

    start: int
    end: int
    pixels: int
    is_lossless: bool


def _sensor_pixels(data: bytes, directories: list[_Directory]) -> int | None:
    """Return the pixels of the sensor whose raw this is, 0 if it does not say; None if it is none."""
    sensors = [each.pixels for each in directories if each.is_sensor]
    if data[8:10] == b"CR":  # Canon's CR2 says no sizes, but its sensor's data is a JPEG without loss
        sensors += [each.pixels for each in _jpegs(data, directories) if each.is_lossless] or [0]
    return max(sensors, default=None)


def _raws_jpeg(data: bytes, layout: Layout, directories: list[_Directory], sensor_pixels: int) -> Cleaned:
    """Return the largest JPEG in a raw, turned as the raw is; raises UnsupportedImage if it is a small one."""
    jpegs = [each for each in _jpegs(data, directories) if not each.is_lossless]
    largest = max(jpegs, key=lambda each: each.pixels, default=None)
    if largest is None or not 0 < sensor_pixels * FULL_SIZE_SHARE <= largest.pixels:
        name = _name(data, layout, directories)
        raise UnsupportedImage(f"The file is a {name} without a JPEG of full size inside; export it as JPEG.")
    orientation = orientation_in(data, layout, layout.first_directory) or 1
    return replace(cleaned(data[largest.start : largest.end]), exif=data, orientation=orientation)


def _jpegs(data: bytes, directories: list[_Directory]) -> Iterator[_Jpeg]:
    for start, size in islice(_jpeg_places(directories), _MOST_JPEGS):
        frame = frame_of(data[start : start + min(size, _JPEG_HEAD_BYTES)])
        if frame is not None:
            pixels = frame.width * frame.height * (frame.components if frame.is_lossless else 1)
            yield _Jpeg(start, start + size, pixels, frame.is_lossless)


def _jpeg_places(directories: list[_Directory]) -> Iterator[tuple[int, int]]:
    """Yield where JPEGs may begin, and their bytes: by tags of their own, and where a JPEG is the only strip."""
    for directory in directories:
        spans = [(_JPEG_PLACE, _JPEG_BYTES)]
        if directory.first(_COMPRESSION) in _JPEGS:
            spans.append((_PLACES, _BYTES))
        for places, sizes in spans:
            if len(directory.tags.get(places, ())) == len(directory.tags.get(sizes, ())) == 1:
                yield directory.first(places), directory.first(sizes)


def _name(data: bytes, layout: Layout, directories: list[_Directory]) -> str:
    """Return what to call a raw."""
    if _DNG_VERSION in directories[0].tags:
        return "camera raw (DNG)"
    entries = (entry for entry in layout.directory(data, layout.first_directory) if entry.tag == _MAKE)
    makes = [layout.content(data, each, most_bytes=min(each.numbers, _MAKE_BYTES)).upper() for each in entries]
    names = [name for make, name in _MAKERS.items() if makes and makes[0].startswith(make)]
    return f"camera raw ({names[0]})" if names else "camera raw"
