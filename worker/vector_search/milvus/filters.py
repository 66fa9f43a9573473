"""The only place that writes filter expressions.

Milvus Lite has no filter templates, so ids become part of the text. Each is first checked to be a lower-case UUID,
which contains no quote and no backslash. No other value gets in.
"""

from collections.abc import Iterable, Iterator

from worker.vector_search.checks import checked_id, checked_ids
from worker.vector_search.interfaces import PhotoRange

#: Ids per expression: some 20 kB of text, well under any server's limit.
IDS_PER_FILTER = 500


def in_gallery(gallery_id: str) -> str:
    return f'gallery_id == "{checked_id(gallery_id)}"'


def in_photos(photo_ids: PhotoRange) -> str:
    first, last = photo_ids
    return f'photo_id >= "{checked_id(first)}" and photo_id <= "{checked_id(last)}"'


def after_face(face_id: str) -> str:
    """Select the faces whose id comes after this one, for reading page by page."""
    return f'face_id > "{checked_id(face_id)}"'


def any_of_galleries(gallery_ids: Iterable[str]) -> Iterator[str]:
    """Yield as many filters as it takes to name all the galleries; none if there are none."""
    return _any_of("gallery_id", gallery_ids)


def any_of_faces(face_ids: Iterable[str]) -> Iterator[str]:
    """Yield as many filters as it takes to name all the faces; none if there are none."""
    return _any_of("face_id", face_ids)


def any_of_photos(photo_ids: Iterable[str]) -> Iterator[str]:
    """Yield as many filters as it takes to name all the photos; none if there are none."""
    return _any_of("photo_id", photo_ids)


def all_of(*filters: str) -> str:
    """Join filters with `and`; empty ones are left out."""
    return " and ".join(each for each in filters if each)


def _any_of(field: str, values: Iterable[str]) -> Iterator[str]:
    ids = checked_ids(values)
    for start in range(0, len(ids), IDS_PER_FILTER):
        quoted = ", ".join(f'"{each}"' for each in ids[start : start + IDS_PER_FILTER])
        yield f"{field} in [{quoted}]"
