"""Files of every kind that a browser shows: what they are called, and their bytes."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

#: Pillow's colour modes in words.
MODES = {
    "1": "black and white",
    "L": "grey",
    "P": "palette",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "I": "whole numbers of 32 bits",
    "F": "floats",
}


class File(NamedTuple):
    """A file of the corpus: its format, what is special about it, and its bytes."""

    format: str
    variant: str
    data: bytes

    @property
    def name(self) -> str:
        return f"{self.format} {self.variant}"


@cache
def files() -> tuple[File, ...]:
    """Return all files, each under a name of its own."""
    from tests.formats import avifs, gifs, jpegs, mutations, pngs, webps

    made = tuple(_all(jpegs.files(), pngs.files(), webps.files(), gifs.files(), avifs.files(), mutations.files()))
    assert len({file.name for file in made}) == len(made)
    return made


def _all(*groups: Iterator[File]) -> Iterator[File]:
    for group in groups:
        yield from group
