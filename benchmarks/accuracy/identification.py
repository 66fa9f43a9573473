"""One against many: at which rank a person is found, and what searches in galleries of several sizes bring up.

Embeddings are unit vectors, float32, shape (n, dimension), one a photo; `people` are numbers, shape (n,).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]
People = NDArray[np.int64]

#: Rows of the table of cosines that are held at a time.
_ROWS_AT_ONCE = 512
#: A rate is given only where the data allow this many errors: what fewer decide says more about these photos than about
#: a system.
LEAST_ERRORS = 3


def ranks(embeddings: Embeddings, people: People) -> NDArray[np.int64]:
    """Return at which rank each photo finds another photo of its person among all others; 0 where there is none.

    Leave one out: each photo is searched among all others. A stranger's photo that is exactly as close as the
    person's own counts as better.
    """
    found = np.zeros(len(people), dtype=np.int64)
    for rows, cosines in cosines_of_rows(embeddings):
        mates, strangers = _mates_and_strangers(people, rows)
        best = _best(cosines, mates)
        better = (cosines >= best[:, None]) & strangers
        found[rows] = np.where(np.isfinite(best), 1 + better.sum(axis=1), 0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class GallerySearches:
    """Every photo, searched in galleries of strangers.

    `strangers`, shape (n, galleries), is the best cosine among a gallery's photos of other people, which is all that
    somebody who is absent can be shown. `mates`, shape (n,), is the best cosine among all other photos of the person,
    which are in the gallery too when the person is not absent; -inf without such photos.
    """

    gallery_photos: int
    mates: NDArray[np.float32]
    strangers: NDArray[np.float32]

    @property
    def searches(self) -> int:
        return int(self.strangers.size)

    def false_matches(self, cosine: float) -> float:
        """Return the share of searches for absent people that show anybody at this threshold."""
        return float(np.mean(self.strangers >= cosine))

    def hits(self, cosine: float) -> float | None:
        """Return the share of searches for present people whose first match is right, at this threshold."""
        present = np.isfinite(self.mates)
        if not present.any():
            return None
        mates = self.mates[present, None]
        return float(np.mean((mates >= cosine) & (mates > self.strangers[present])))

    def threshold(self, rate: float) -> float | None:
        """Return the lowest threshold at which at most this share of the searches for absent people show anybody.

        None when the searches are too few to tell.
        """
        return lowest_threshold(np.sort(self.strangers, axis=None)[::-1], self.searches, rate)


def gallery_searches(embeddings: Embeddings, people: People, gallery_photos: int, *, seed: int = 1) -> GallerySearches:
    """Search every photo in as many galleries of this size as the photos make, each photo in one of them at most.

    A person's own photos in a gallery do not count among its strangers. Raises ValueError when there are fewer photos.
    """
    galleries = len(people) // gallery_photos
    if gallery_photos < 1 or galleries < 1:
        raise ValueError(f"{len(people)} photos make no gallery of {gallery_photos}")
    drawn = np.random.default_rng(seed).permutation(len(people))[: galleries * gallery_photos]
    mates = np.empty(len(people), dtype=np.float32)
    strangers = np.empty((len(people), galleries), dtype=np.float32)
    for rows, cosines in cosines_of_rows(embeddings):
        is_mate, is_stranger = _mates_and_strangers(people, rows)
        mates[rows] = _best(cosines, is_mate)
        others = np.where(is_stranger, cosines, np.float32(-np.inf))[:, drawn]
        strangers[rows] = others.reshape(len(others), galleries, gallery_photos).max(axis=2)
    return GallerySearches(gallery_photos=gallery_photos, mates=mates, strangers=strangers)


def gallery_sizes(photos: int, wanted: Sequence[int]) -> list[int]:
    """Return the wanted sizes that this many photos fill, and the number of photos itself: the largest gallery."""
    return sorted({size for size in wanted if size < photos} | ({photos} if photos else set()))


def lowest_threshold(largest: NDArray[np.float32], total: int, rate: float) -> float | None:
    """Return the lowest threshold that at most `rate` of `total` cosines reach.

    `largest` holds the largest of them, falling. None when the rate allows fewer than LEAST_ERRORS errors. Raises
    ValueError when it allows as many as `largest` holds, yet there are more.
    """
    # 1e-3 of 5,000 is 5, though it is a little less in floating point.
    allowed = int(rate * total + 1e-6)
    if allowed < LEAST_ERRORS:
        return None
    if allowed >= total:
        return -1.0
    if allowed >= len(largest):
        raise ValueError(f"the largest {len(largest)} of {total} cosines do not tell what {allowed} of them reach")
    return max(-1.0, float(np.nextafter(np.float32(largest[allowed]), np.float32(np.inf))))


def cosines_of_rows(embeddings: Embeddings) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the cosines of some photos at a time with all: a table of all would not fit for tens of thousands."""
    for first in range(0, len(embeddings), _ROWS_AT_ONCE):
        rows = slice(first, min(first + _ROWS_AT_ONCE, len(embeddings)))
        yield rows, embeddings[rows] @ embeddings.T


def _mates_and_strangers(people: People, rows: slice) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    same = people[rows, None] == people[None, :]
    itself = np.arange(rows.start, rows.stop)[:, None] == np.arange(len(people))[None, :]
    return same & ~itself, ~same


def _best(cosines: NDArray[np.float32], which: NDArray[np.bool_]) -> NDArray[np.float32]:
    best: NDArray[np.float32] = np.where(which, cosines, np.float32(-np.inf)).max(axis=1)
    return best
