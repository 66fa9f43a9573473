"""Compares what the database knows about a range of photos with what the collection contains."""

from collections.abc import Collection
from dataclasses import dataclass

from worker.vector_search.interfaces import FaceRecord, StoredFace, VectorStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancies:
    """The differences between database and collection.

    `missing`: ids of known faces that are not in the collection. `orphaned`: faces in the collection that the database
    does not know. `duplicated`: known faces with more than one row.
    """

    missing: tuple[str, ...] = ()
    orphaned: tuple[StoredFace, ...] = ()
    duplicated: tuple[StoredFace, ...] = ()


def compare_faces(
    store: VectorStore, *, gallery_id: str, first: str, last: str, known: Collection[str]
) -> Discrepancies:
    """Compare `known`, the ids of all faces on the gallery's photos from `first` to `last`, with the collection.

    Each list is ordered by face id. Faces that are being written at this moment may appear missing or orphaned: read
    `known` again and compare again before repairing anything. Raises what `VectorStore.list_faces` raises.
    """
    wanted = set(known)
    found = {face.face_id: face for face in store.list_faces(gallery_id=gallery_id, photo_ids=(first, last))}
    return Discrepancies(
        missing=tuple(sorted(wanted - found.keys())),
        orphaned=tuple(found[face_id] for face_id in sorted(found.keys() - wanted)),
        duplicated=tuple(face for face_id, face in sorted(found.items()) if face.copies > 1 and face_id in wanted),
    )


def write_once(store: VectorStore, *, gallery_id: str, faces: Collection[StoredFace]) -> None:
    """Rewrite each of these faces so that only one row remains. Raises what the store raises; then call it again."""
    embeddings = store.fetch([face.face_id for face in faces])
    store.upsert(
        [
            FaceRecord(
                face_id=face.face_id,
                photo_id=face.photo_id,
                gallery_id=gallery_id,
                embedding=embeddings[face.face_id],
            )
            for face in faces
            if face.face_id in embeddings  # Otherwise it has been deleted.
        ]
    )
