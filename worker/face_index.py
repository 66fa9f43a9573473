"""FaceIndex: the face engine and the vector store as one object, which is all that a task calls.

Here the store's cosines become the pack's similarities, and a `min_similarity` becomes a cosine: stores know no packs.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from worker.bulk import PhotoOutcome, PhotoToIndex, outcomes
from worker.canary import find_known_face
from worker.config import ImageLimits
from worker.detection import detect_faces
from worker.errors import FaceNotIndexed, ImageError
from worker.metrics import NO_STAGES, Stages, timed
from worker.queries.answers import (
    DetectionAnswer,
    Matches,
    SearchAnswer,
    SearchedFace,
    Verification,
    VerifiedPicture,
    verified_picture,
)
from worker.queries.faces import QueryFaceCache, QueryFaces
from worker.reasons import below_threshold, empty_gallery, not_the_same
from worker.recognition.interfaces import Engine, Pack
from worker.vector_search.checks import MAX_LIMIT, rounded_similarity
from worker.vector_search.exceptions import CapacityReached
from worker.vector_search.interfaces import Embedding, FaceRecord, Match, SearchQuery, StoreHealth, VectorStore
from worker.vector_search.recall.live import LiveQueries

#: The two pictures of a verification, as its sentences call them.
WHICH: Final = ("first", "second")


class FaceIndex:
    """A face engine and a vector store, opened and closed together. Safe to share between threads after `open()`."""

    def __init__(
        self,
        engine: Engine,
        store: VectorStore,
        *,
        limits: ImageLimits | None = None,
        query_limits: ImageLimits | None = None,
        query_faces: QueryFaceCache | None = None,
        live: LiveQueries | None = None,
        stages: Stages = NO_STAGES,
    ) -> None:
        """`limits` hold for photos, `query_limits` for all other images; both default to those of the configuration.

        `query_faces` keeps the faces of query images. `live` is offered every query that the store has answered.
        `stages` records how long each stage of searching and adding takes.
        """
        self._engine = engine
        self._store = store
        self._limits = limits or engine.config.image_limits
        self._query_limits = query_limits or engine.config.query_limits
        self._query_faces = query_faces
        self._live = live
        self._stages = stages

    def open(self) -> None:
        """Load the models, then open the store; blocks for seconds.

        Raises PackError, ConfigError, and what `VectorStore.open` raises; after an error, nothing stays open.
        """
        self._engine.open()
        try:
            self._store.open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release everything. Safe to call twice, and before open()."""
        try:
            self._store.close()
        finally:
            self._engine.close()

    @property
    def pack(self) -> Pack:
        """The pack that fills and searches this index. Raises NotOpen."""
        return self._engine.pack

    @property
    def models_are_healthy(self) -> bool:
        """Whether all models accept work; if one does not, the worker must be restarted. Never raises."""
        return self._engine.is_healthy

    def store_health(self) -> StoreHealth:
        """Check the store now. Never raises; blocks for at most the health timeout."""
        return self._store.health()

    def healthy(self) -> bool:
        """Return whether a search would be answered now. Never raises; blocks for at most the health timeout."""
        return self.models_are_healthy and self.store_health().is_healthy

    def search(
        self,
        image: bytes,
        *,
        gallery_ids: tuple[str, ...],
        limit: int,
        min_similarity: float | None,
        faces: Literal["all", "largest"] = "all",
        check_wanted: Callable[[], None] = lambda: None,
    ) -> SearchAnswer:
        """Return the faces in the image, each with its best `limit` matches from all these galleries together.

        Matches below `min_similarity` (-1..1 on the pack's scale, -1 for all; None for the pack's default) are left
        out. `faces="largest"` searches only for the largest face. `check_wanted` is called before a model runs, and
        may raise. Raises NotOpen, ImageError, and what `VectorStore.search` raises.
        """
        seen = self._seen(image, faces, check_wanted)
        found = self._found(
            [face.embedding for face in seen.faces],
            gallery_ids=gallery_ids,
            limit=limit,
            min_similarity=min_similarity,
        )
        searched = tuple(
            SearchedFace(face=face, matches=each.matches, reason=each.reason)
            for face, each in zip(seen.faces, found, strict=True)
        )
        return SearchAnswer(faces=searched, rejected=seen.rejected, width=seen.width, height=seen.height)

    def search_by_face(
        self,
        face_id: str,
        *,
        gallery_ids: tuple[str, ...],
        limit: int,
        min_similarity: float | None,
        check_wanted: Callable[[], None] = lambda: None,
    ) -> Matches:
        """Return the matches of a face in the store, leaving out that very face. Runs no model.

        Pass only a face that the caller may see; it need not be in one of the galleries. Otherwise like `search`.
        Raises FaceNotIndexed, NotOpen, and what the store raises.
        """
        check_wanted()
        embeddings = list(self._store.fetch([face_id]).values())
        if not embeddings:
            raise FaceNotIndexed
        [found] = self._found(
            embeddings, gallery_ids=gallery_ids, limit=limit, min_similarity=min_similarity, left_out=face_id
        )
        return found

    def verify(
        self,
        images: tuple[bytes, bytes],
        *,
        min_similarity: float | None = None,
        check_wanted: Callable[[], None] = lambda: None,
    ) -> Verification:
        """Compare the largest faces of two images.

        They are the same from `min_similarity` on (-1..1 on the pack's scale; None for the pack's default).
        `check_wanted` is called before a model runs, and may raise. Raises NotOpen, Busy, and ImageError, which names
        the picture.
        """
        least = self._least_similarity(min_similarity)
        first, second = (self._verified(image, which, check_wanted) for image, which in zip(images, WHICH, strict=True))
        if first.face is None or second.face is None:
            return Verification(
                similarity=None,
                is_same=None,
                threshold=least,
                pictures=(first, second),
                reason=first.reason or second.reason,
            )
        similarity = self._similarity(rounded_similarity(float(first.face.embedding @ second.face.embedding)))
        is_same = similarity >= least
        return Verification(
            similarity=similarity,
            is_same=is_same,
            threshold=least,
            pictures=(first, second),
            reason=None if is_same else not_the_same(similarity),
        )

    def detect(self, image: bytes, *, check_wanted: Callable[[], None] = lambda: None) -> DetectionAnswer:
        """Return the faces in the image; nothing of it is kept, and nothing embedded.

        `check_wanted` is called before a model runs, and may raise. Raises NotOpen, Busy, ImageError.
        """
        info, seen = detect_faces(
            self._engine, image, limits=self._query_limits, stages=self._stages, check_wanted=check_wanted
        )
        return DetectionAnswer(faces=seen.faces, rejected=seen.rejected, width=info.width, height=info.height)

    def add(self, photos: Sequence[PhotoToIndex]) -> list[PhotoOutcome]:
        """Index the photos and return one outcome for each, in the order given. Running it twice changes nothing.

        `bulk.outcomes` documents how photos are processed and what that raises. All faces are written in one call.
        Faces that an earlier run found on a photo and this one did not are deleted afterwards; if a photo fails, its
        old faces stay. If the faces of a photo no longer fit into the collection, only that photo fails
        (`capacity_reached`). Raises what the store raises.
        """
        return self._written(photos, outcomes(self._engine, photos, limits=self._limits, stages=self._stages))

    def remove(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        """Delete every face on these photos; unknown photos are not an error. Raises what the store raises."""
        self._store.delete_photos(gallery_id=gallery_id, photo_ids=photo_ids)

    def neighbours(self, *, gallery_id: str, face_ids: Collection[str], limit: int) -> dict[str, list[Match]]:
        """Return, for each of these faces that is in the store, the most similar others in the gallery, best first.

        Similarities are on the pack's scale; those below its match similarity are left out. Runs no model. Raises what
        the store raises.
        """
        least = self._engine.pack.match_similarity
        embeddings = self._store.fetch(face_ids)
        if not embeddings:
            return {}
        query = SearchQuery(
            gallery_ids=(gallery_id,),
            embeddings=np.stack(list(embeddings.values())),
            limit=limit + 1,
            min_similarity=self._cosine(least),
        )
        found = zip(embeddings, self._store.search(query), strict=True)
        return {
            face_id: [match for match in self._shown(matches, least) if match.face_id != face_id][:limit]
            for face_id, matches in found
        }

    def find_known_face(self) -> None:
        """Run a known face through the model and find it in the store, bypassing every cache. See `canary.py`."""
        find_known_face(self._engine, self._store, limits=self._limits)

    def _least_similarity(self, asked: float | None) -> float:
        return self._engine.pack.match_similarity if asked is None else asked

    def _cosine(self, similarity: float) -> float:
        """Return the cosine to ask the store for. Rounded as its matches are: none that `_shown` keeps is missed."""
        return rounded_similarity(self._engine.pack.similarity.cosine_of(similarity))

    def _similarity(self, cosine: float) -> float:
        return rounded_similarity(self._engine.pack.similarity.of_cosine(cosine))

    def _shown(self, matches: Iterable[Match], least: float) -> list[Match]:
        """Return a store's matches with similarities in place of cosines, without those that are less alike."""
        alike = (
            Match(face_id=match.face_id, photo_id=match.photo_id, similarity=self._similarity(match.similarity))
            for match in matches
        )
        return [match for match in alike if match.similarity >= least]

    def _found(
        self,
        embeddings: Sequence[Embedding],
        *,
        gallery_ids: tuple[str, ...],
        limit: int,
        min_similarity: float | None,
        left_out: str = "",
    ) -> list[Matches]:
        """Return the matches of each embedding, from one call of the store; none are from the face `left_out`.

        The store is asked for the most similar faces however little alike they are: they tell why there is no match.
        """
        if not embeddings:
            return []
        query = SearchQuery(
            gallery_ids=gallery_ids,
            embeddings=np.stack(embeddings),
            limit=min(limit + 1, MAX_LIMIT) if left_out else limit,
        )
        with timed(self._stages, "search"):
            found = self._store.search(query)
        if self._live is not None:
            self._live.offer(query)
        least = self._least_similarity(min_similarity)
        others = ([match for match in matches if match.face_id != left_out][:limit] for matches in found)
        return [self._judged(matches, least) for matches in others]

    def _judged(self, most_similar: Sequence[Match], least: float) -> Matches:
        """Return those of the most similar faces that are similar enough; if none is, with the reason."""
        if not most_similar:
            return Matches(matches=(), reason=empty_gallery())
        matches = tuple(self._shown(most_similar, least))
        best = self._similarity(most_similar[0].similarity)
        return Matches(matches=matches, reason=None if matches else below_threshold(best))

    def _verified(self, image: bytes, which: str, check_wanted: Callable[[], None]) -> VerifiedPicture:
        try:
            return verified_picture(self._seen(image, "largest", check_wanted), which)
        except ImageError as error:
            raise type(error)(f"The {which} picture: {error}") from error

    def _seen(
        self, image: bytes, faces: Literal["all", "largest"], check_wanted: Callable[[], None] = lambda: None
    ) -> QueryFaces:
        """Return the embedded faces of a query image, from the cache if an earlier search has seen the image."""
        if self._query_faces is None:
            return self._see(image, faces, check_wanted)
        variant = f"{faces}:{self._engine.pack.detector_fingerprint}"
        return self._query_faces.faces(image, variant=variant, find=lambda: self._see(image, faces, check_wanted))

    def _see(self, image: bytes, faces: Literal["all", "largest"], check_wanted: Callable[[], None]) -> QueryFaces:
        info, seen = detect_faces(
            self._engine, image, limits=self._query_limits, stages=self._stages, check_wanted=check_wanted
        )
        found = seen.faces
        if faces == "largest" and found:
            found = (max(found, key=lambda face: face.detection.box.width * face.detection.box.height),)
        with timed(self._stages, "embed"):
            [embedded] = self._engine.embed([found])
        return QueryFaces(faces=tuple(embedded), rejected=seen.rejected, width=info.width, height=info.height)

    def _written(self, photos: Sequence[PhotoToIndex], outcomes: Sequence[PhotoOutcome]) -> list[PhotoOutcome]:
        """Write all photos in one call or, if the collection is full, one by one, so that those that fit get in."""
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
