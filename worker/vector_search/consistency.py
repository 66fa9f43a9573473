"""What the database says of a range of photos, held against what stands in the collection."""

from collections.abc import Collection
from dataclasses import dataclass

from worker.vector_search.interfaces import FaceRecord, StoredFace, VectorStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancies:
    """Where database and collection differ.

    `missing`: ids of known faces that the collection lacks. `orphaned`: faces in the collection that nobody knows.
    `duplicated`: known faces with more than one row.
    """

    missing: tuple[str, ...] = ()
    orphaned: tuple[StoredFace, ...] = ()
    duplicated: tuple[StoredFace, ...] = ()


def compare_faces(
    store: VectorStore, *, gallery_id: str, first: str, last: str, known: Collection[str]
) -> Discrepancies:
    """Compare the faces that the gallery's photos from `first` to `last` should have, `known`, with those they have.

    Each list is in the order of the face ids. What is being written at this moment may seem to be missing or orphaned:
    read `known` again, and compare again, before anything is repaired. Raises what `VectorStore.list_faces` raises.
    """
    wanted = set(known)
    found = {face.face_id: face for face in store.list_faces(gallery_id=gallery_id, photo_ids=(first, last))}
    return Discrepancies(
        missing=tuple(sorted(wanted - found.keys())),
        orphaned=tuple(found[face_id] for face_id in sorted(found.keys() - wanted)),
        duplicated=tuple(face for face_id, face in sorted(found.items()) if face.copies > 1 and face_id in wanted),
    )


def write_once(store: VectorStore, *, gallery_id: str, faces: Collection[StoredFace]) -> None:
    """Write each of these faces anew: of its rows one remains. Raises what the store raises; run it again then."""
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
            if face.face_id in embeddings  # It has been deleted otherwise.
        ]
    )
