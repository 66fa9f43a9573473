"""Ids of faces: the same each time the same photo is indexed, so that any task may run twice."""

import uuid
from collections.abc import Collection, Mapping, Sequence

from worker.recognition.interfaces import Box

#: A face whose box overlaps that of a known face by at least this (intersection over union) is that face.
SAME_FACE_OVERLAP = 0.5
#: The root of ids that derive from a photo and a box. Changing it would give every face a new id.
_FACE_IDS = uuid.UUID("5b0f4b62-2f5e-5d0a-9d0c-6f5c3f7f2a11")


def face_ids(photo_id: str, boxes: Sequence[Box], known: Mapping[str, Box]) -> list[str]:
    """Return one id per box, all different, and the same each time the same boxes are detected.

    Boxes are matched with known faces, largest overlap first; each known id is used once. The id of a box without a
    match derives from the photo and the box in whole pixels.
    """
    pairs = sorted(
        (-box.overlap(known_box), index, face_id)
        for index, box in enumerate(boxes)
        for face_id, known_box in known.items()
        if box.overlap(known_box) >= SAME_FACE_OVERLAP
    )
    ids: dict[int, str] = {}
    taken: set[str] = set()
    for _, index, face_id in pairs:
        if index not in ids and face_id not in taken:
            ids[index] = face_id
            taken.add(face_id)
    for index, box in enumerate(boxes):
        if index not in ids:
            ids[index] = _derived_id(photo_id, box, taken)
            taken.add(ids[index])
    return [ids[index] for index in range(len(boxes))]


def _derived_id(photo_id: str, box: Box, taken: Collection[str]) -> str:
    """Return an id that is not taken: two faces of one photo may round to one box."""
    name = f"{photo_id} {box.left:.0f} {box.top:.0f} {box.right:.0f} {box.bottom:.0f}"
    count = 0
    while (derived := str(uuid.uuid5(_FACE_IDS, f"{name} {count}"))) in taken:
        count += 1
    return derived
