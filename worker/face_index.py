"""FaceIndex: the one object that a GPU worker works with. Search, add, remove, healthy, open, close."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from worker.config import ImageLimits
from worker.errors import FaceQueueError, ImageError, PhotoStorageUnavailable
from worker.images import decode
from worker.recognition.interfaces import Box, Engine, Face, FoundFace, Pack
from worker.vector_search.cache import CacheManager, QueryFaces
from worker.vector_search.exceptions import CapacityReached
from worker.vector_search.interfaces import FaceHit, FaceRecord, SearchQuery, StoreHealth, VectorStore
from worker.vector_search.recall import RecallWatch

PhotoState = Literal["indexed", "no_faces", "failed"]

#: A face whose box overlaps a known face's by at least this (intersection over union) is that face.
SAME_FACE_OVERLAP = 0.5
#: The root of ids that derive from a photo and a box. Changing it would give every face a new id.
_FACE_IDS = uuid.UUID("5b0f4b62-2f5e-5d0a-9d0c-6f5c3f7f2a11")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoToIndex:
    """One photo. `read` is called once, in the worker, and returns the file's bytes.

    It raises FileNotFoundError when the file is gone, and any other OSError when the storage is in trouble.
    `known_faces` are the faces that the database already has for it: a face found again keeps its id.
    """

    photo_id: str
    gallery_id: str
    read: Callable[[], bytes]
    known_faces: Mapping[str, Box] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFace:
    """A face of an indexed photo; its embedding is in the store under `face_id`."""

    face_id: str
    face: Face


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoOutcome:
    """What became of one photo. `code` and `message` say why unless the state is `indexed`.

    `width` and `height` are those of the upright picture in pixels, None when it could not be decoded.
    """

    photo_id: str
    state: PhotoState
    code: str = ""
    message: str = ""
    width: int | None = None
    height: int | None = None
    image_format: str = ""
    faces: tuple[IndexedFace, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedFace:
    """A face of a query image and its matches, best first."""

    face: Face
    matches: tuple[FaceHit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """The faces of a query image, best detection first; none when no face was found.

    `width` and `height` are those of the upright picture in pixels: what the faces' boxes refer to.
    """

    faces: tuple[SearchedFace, ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """A photo that was read, decoded and looked at: what is known before its faces are described."""

    outcome: PhotoOutcome
    found: list[FoundFace] = field(default_factory=list)
    #: What the model raised on this photo, if it did.
    model_error: Exception | None = None


class FaceIndex:
    """Face engine and vector store, opened and closed together. Safe to share between threads after `open()`."""

    def __init__(
        self,
        engine: Engine,
        store: VectorStore,
        *,
        limits: ImageLimits | None = None,
        cache: CacheManager | None = None,
        recall: RecallWatch | None = None,
    ) -> None:
        """`limits` are the engine's own configuration's unless given; a `cache` keeps the faces of query images.

        `recall` measures what the store's index loses, from whenever it is opened until this is closed.
        """
        self._engine = engine
        self._store = store
        self._limits = limits or engine.config.image_limits
        self._cache = cache
        self._recall = recall

    def open(self) -> None:
        """Load the models, then connect the store; blocks for seconds.

        Raises PackError, ConfigError, and what `VectorStore.open` raises; nothing stays open then.
        """
        self._engine.open()
        try:
            self._store.open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give everything back. Safe to call twice, and before open()."""
        if self._recall is not None:
            self._recall.close()
        try:
            self._store.close()
        finally:
            self._engine.close()

    @property
    def pack(self) -> Pack:
        """The pack that fills and searches this index. Raises NotOpen."""
        return self._engine.pack

    def store_health(self) -> StoreHealth:
        """Look at the store now. Never raises; blocks for at most the health timeout."""
        return self._store.health()

    @property
    def match_recall(self) -> float | None:
        """The share of true matches that searches return, 0..1, as measured last; None when it is not known."""
        return None if self._recall is None else self._recall.latest

    def healthy(self) -> bool:
        """Return whether a search would be answered now. Never raises; blocks for at most the health timeout."""
        return self._engine.is_open and self.store_health().is_healthy

    def search(
        self,
        image: bytes,
        *,
        gallery_id: str,
        limit: int,
        min_similarity: float | None,
        faces: Literal["all", "largest"] = "all",
    ) -> SearchAnswer:
        """Return the faces of the picture, each with at most `limit` matches in the gallery.

        Matches below `min_similarity` (cosine, -1..1; None for the pack's own) are left out. `faces="largest"` looks
        for the largest face only. Raises NotOpen, ImageError, and what `VectorStore.search` raises.
        """
        match_similarity = self._engine.pack.match_similarity
        seen = self._seen(image, faces)
        if not seen.faces:
            return SearchAnswer(faces=(), width=seen.width, height=seen.height)
        query = SearchQuery(
            gallery_id=gallery_id,
            embeddings=np.stack([face.embedding for face in seen.faces]),
            limit=limit,
            min_similarity=match_similarity if min_similarity is None else min_similarity,
        )
        searched = tuple(
            SearchedFace(face=face, matches=tuple(hits))
            for face, hits in zip(seen.faces, self._store.search(query), strict=True)
        )
        return SearchAnswer(faces=searched, width=seen.width, height=seen.height)

    def add(self, photos: Sequence[PhotoToIndex]) -> list[PhotoOutcome]:
        """Index the photos and return one outcome each, in the order given. Running it twice changes nothing.

        One photo is decoded at a time, and of it only the aligned faces are kept. All faces are described in one run
        and written in one call; what an earlier run had found in a photo and this one did not is deleted
        afterwards. A photo that cannot be read as a picture fails alone and its old faces are left as they are.
        So does one whose faces no longer fit into the collection (`capacity_reached`).
        Raises NotOpen, PhotoStorageUnavailable, what else the store raises, and what the model raises when it fails on
        every picture: then it is not the pictures' fault.
        """
        looked = [self._look(photo) for photo in photos]
        _raise_if_the_model_is_to_blame(looked)
        described = self._engine.describe([look.found for look in looked])
        outcomes = [
            _with_faces(look.outcome, photo, faces)
            for look, photo, faces in zip(looked, photos, described, strict=True)
        ]
        return self._written(photos, outcomes)

    def remove(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        """Delete every face of these photos; unknown photos are no error. Raises what the store raises."""
        self._store.delete_photos(gallery_id=gallery_id, photo_ids=photo_ids)

    def _seen(self, image: bytes, faces: Literal["all", "largest"]) -> QueryFaces:
        """Return the described faces of a query image, out of the cache when an earlier search has seen it."""
        if self._cache is None:
            return self._see(image, faces)
        variant = f"{faces}:{self._engine.config.min_face_score}"
        return self._cache.faces(image, variant=variant, find=lambda: self._see(image, faces))

    def _see(self, image: bytes, faces: Literal["all", "largest"]) -> QueryFaces:
        picture = decode(image, limits=self._limits)
        height, width = picture.pixels.shape[:2]
        found = self._engine.find(picture.pixels)
        if faces == "largest" and found:
            found = [max(found, key=lambda face: face.detection.box.width * face.detection.box.height)]
        [described] = self._engine.describe([found])
        return QueryFaces(faces=tuple(described), width=width, height=height)

    def _look(self, photo: PhotoToIndex) -> _Looked:
        """Read, decode and look at one photo; what is the photo's own fault becomes a failed outcome."""
        self._engine.pack  # noqa: B018  raises NotOpen, which is nobody's photo's fault
        failed = PhotoOutcome(photo_id=photo.photo_id, state="failed")
        try:
            picture = decode(photo.read(), limits=self._limits)
        except FileNotFoundError:
            message = "The photo's file is no longer in the storage."
            return _Looked(outcome=replace(failed, code="photo_missing", message=message))
        except ImageError as error:
            return _Looked(outcome=replace(failed, code=error.code, message=str(error)))
        except OSError as error:
            raise PhotoStorageUnavailable("The storage of the photos cannot be read at the moment.") from error
        height, width = picture.pixels.shape[:2]
        outcome = replace(failed, width=width, height=height, image_format=picture.format)
        try:
            return _Looked(outcome=outcome, found=self._engine.find(picture.pixels))
        except FaceQueueError:
            raise
        except Exception as error:  # noqa: BLE001  judged in _raise_if_the_model_is_to_blame
            message = "The face model could not work on this picture."
            outcome = replace(outcome, code=ImageError.code, message=message)
            return _Looked(outcome=outcome, model_error=error)

    def _written(self, photos: Sequence[PhotoToIndex], outcomes: Sequence[PhotoOutcome]) -> list[PhotoOutcome]:
        """Write all photos in one call; when the collection is full, one by one, so that what fits still gets in."""
        try:
            self._write(photos, outcomes)
        except CapacityReached as error:
            if len(photos) == 1:
                return [replace(outcomes[0], state="failed", code=error.code, message=str(error), faces=())]
            pairs = zip(photos, outcomes, strict=True)
            return [self._written([photo], [outcome])[0] for photo, outcome in pairs]
        return list(outcomes)

    def _write(self, photos: Sequence[PhotoToIndex], outcomes: Sequence[PhotoOutcome]) -> None:
        records: list[FaceRecord] = []
        kept: dict[str, dict[str, list[str]]] = defaultdict(dict)
        for photo, outcome in zip(photos, outcomes, strict=True):
            if outcome.state == "failed":
                continue
            kept[photo.gallery_id][photo.photo_id] = [face.face_id for face in outcome.faces]
            records += [
                FaceRecord(
                    face_id=indexed.face_id,
                    photo_id=photo.photo_id,
                    gallery_id=photo.gallery_id,
                    embedding=indexed.face.embedding,
                )
                for indexed in outcome.faces
            ]
        if records:
            self._store.upsert(records)
        for gallery_id, faces_by_photo in kept.items():
            self._store.delete_stale_faces(gallery_id=gallery_id, kept=faces_by_photo)


def _raise_if_the_model_is_to_blame(looked: Sequence[_Looked]) -> None:
    """Raise what the model raised if it got through no picture at all: a lost GPU must not fail good photos."""
    decoded = [look for look in looked if look.outcome.width is not None]
    errors = [look.model_error for look in decoded if look.model_error is not None]
    if errors and len(errors) == len(decoded):
        raise errors[0]


def _with_faces(outcome: PhotoOutcome, photo: PhotoToIndex, faces: Sequence[Face]) -> PhotoOutcome:
    """Return the outcome of a photo whose faces are described; a failed one stays as it is."""
    if outcome.code:
        return outcome
    if not faces:
        return replace(outcome, state="no_faces", code="no_face_found", message="No face was found in this picture.")
    ids = face_ids(photo.photo_id, [face.box for face in faces], photo.known_faces)
    indexed = tuple(IndexedFace(face_id=id_, face=face) for id_, face in zip(ids, faces, strict=True))
    return replace(outcome, state="indexed", faces=indexed)


def face_ids(photo_id: str, boxes: Sequence[Box], known: Mapping[str, Box]) -> list[str]:
    """Return one id per box, all different, the same whenever the same boxes are found.

    The pairs of box and known face are taken by falling overlap; each known id is given once. A box that gets none
    has an id that derives from the photo and the box in whole pixels.
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
