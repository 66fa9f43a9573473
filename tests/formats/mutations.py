"""Files that a number damages: bits, words, sizes, and whole parts, anywhere in them."""

from collections.abc import Iterator

from tests.formats.corpus import File
from tests.fuzz.mutations import mutated

_BEGINNINGS = {b"\xff\xd8": "JPEG", b"\x89PN": "PNG", b"GIF8": "GIF"}
#: The first ones whose beginning still says what they are.
_COUNT = 100


def files() -> Iterator[File]:
    seed = made = 0
    while made < _COUNT:
        data = mutated(seed)
        kind = next((name for start, name in _BEGINNINGS.items() if data.startswith(start)), "")
        kind = "WebP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else kind
        kind = "AVIF" if data[4:12] == b"ftypavif" else kind
        if kind:
            yield File(kind, f"mutated by {seed}", data)
            made += 1
        seed += 1
