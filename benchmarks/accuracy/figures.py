"""From what the systems saw to the figures of a group of people, and to what the systems cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.identification import GallerySearches, gallery_searches, gallery_sizes, ranks
from benchmarks.accuracy.intervals import Share, difference_of, share_of
from benchmarks.accuracy.measuring import Results
from benchmarks.accuracy.systems import STAGES, Stage, System
from benchmarks.accuracy.verification import Pairs, Spread, TenFold, all_pairs, ten_fold

#: Shares of the pairs of two people that may pass for one.
FALSE_POSITIVE_RATES = (1e-2, 1e-3, 1e-4, 1e-5)
#: Shares of the searches for absent people that may show somebody.
FALSE_MATCH_RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A threshold and its similarity, as people see it (None for a reference)."""

    cosine: float
    similarity: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InGallery:
    """Searches in galleries of one size at one threshold: absent people shown somebody, present people shown right."""

    gallery_photos: int
    searches: int
    threshold: Threshold
    false_matches: float
    hits: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRate:
    """What a rate of false positives among pairs means. All None or empty when the pairs are too few for it."""

    false_positive_rate: float
    threshold: Threshold | None
    true_positives: Share | None
    in_galleries: list[InGallery]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForGallery:
    """The lowest threshold at which at most this share of absent people are shown anybody in galleries of this size."""

    gallery_photos: int
    false_match_rate: float
    found: InGallery | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How well one system recognises the people of a group.

    A probe is a photo of a person with another photo. `rank_1` and `rank_5` are shares of all probes: one whose face,
    or whose person's other faces, were not found counts as not recognised. `rank_1_of_found` leaves out all photos
    without a face, and so does everything below it. `rank_1_gains`: rank_1 less that of another system in the same
    probes, by its name.
    """

    system: str
    photos: int
    people: int
    probes: int
    missed: int
    other_boxes: int
    rank_1: Share | None
    rank_5: Share | None
    rank_1_gains: dict[str, Share | None]
    rank_1_of_found: Share | None
    same: Spread | None
    different: Spread | None
    at_rates: list[AtRate]
    ten_fold: TenFold | None
    for_galleries: list[ForGallery]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Mean CPU milliseconds a photo on one thread, by stage and in all.

    `speedups`, by the name of a reference: how many times as long it takes, the median of the quotients photo by photo.
    """

    system: str
    stages_ms: dict[Stage, float]
    total_ms: float
    speedups: dict[str, float]


def figures(
    results: Sequence[Results], names: Sequence[str], *, references: Sequence[str], galleries: Sequence[int]
) -> list[Figures]:
    """Return the figures of each system for these photos; `names` says whom each shows."""
    people = np.unique(np.array(names, dtype=str), return_inverse=True)[1].astype(np.int64)
    is_probe = np.bincount(people)[people] > 1 if len(people) else np.zeros(0, dtype=bool)
    all_ranks = [_ranks(each, people) for each in results]
    first = {each.system.name: (rank == 1)[is_probe] for each, rank in zip(results, all_ranks, strict=True)}
    found = []
    for each, rank in zip(results, all_ranks, strict=True):
        name = each.system.name
        faces, of_faces = each.embeddings[each.is_found], people[each.is_found]
        pairs = all_pairs(faces, of_faces, largest_rate=max(FALSE_POSITIVE_RATES))
        searches = [gallery_searches(faces, of_faces, size) for size in gallery_sizes(len(faces), galleries)]
        found.append(
            Figures(
                system=name,
                photos=len(people),
                people=len(set(people.tolist())),
                probes=int(is_probe.sum()),
                missed=int((~each.is_found).sum()),
                other_boxes=int(each.other_boxes.sum()),
                rank_1=share_of(first[name], people[is_probe]),
                rank_5=share_of(((rank >= 1) & (rank <= 5))[is_probe], people[is_probe]),
                rank_1_gains={
                    other: difference_of(first[name], first[other], people[is_probe])
                    for other in references
                    if other != name
                },
                rank_1_of_found=share_of(rank[rank > 0] == 1, people[rank > 0]),
                same=pairs.spread_of_same,
                different=pairs.different,
                at_rates=[_at_rate(each.system, pairs, searches, rate) for rate in FALSE_POSITIVE_RATES],
                ten_fold=ten_fold(faces, of_faces),
                for_galleries=[
                    _for_gallery(each.system, search, rate) for search in searches for rate in FALSE_MATCH_RATES
                ],
            )
        )
    return found


def costs(results: Sequence[Results], *, references: Sequence[str]) -> list[Cost]:
    """Return what each system costs a photo, compared with these references."""
    totals = {each.system.name: each.seconds.sum(axis=1) for each in results}
    return [
        Cost(
            system=each.system.name,
            stages_ms={stage: 1e3 * float(each.seconds[:, at].mean()) for at, stage in enumerate(STAGES)},
            total_ms=1e3 * float(totals[each.system.name].mean()),
            speedups={
                other: float(np.median(totals[other] / totals[each.system.name]))
                for other in references
                if other != each.system.name
            },
        )
        for each in results
    ]


def _ranks(results: Results, people: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each photo's rank among the photos with a face; 0 where it has none, or its person no other face."""
    rank = np.zeros(len(people), dtype=np.int64)
    rank[results.is_found] = ranks(results.embeddings[results.is_found], people[results.is_found])
    return rank


def _at_rate(system: System, pairs: Pairs, searches: Sequence[GallerySearches], rate: float) -> AtRate:
    cosine = pairs.threshold(rate)
    if cosine is None:
        return AtRate(false_positive_rate=rate, threshold=None, true_positives=None, in_galleries=[])
    return AtRate(
        false_positive_rate=rate,
        threshold=_threshold(system, cosine),
        true_positives=pairs.true_positives(cosine),
        in_galleries=[_in_gallery(system, search, cosine) for search in searches],
    )


def _for_gallery(system: System, search: GallerySearches, rate: float) -> ForGallery:
    cosine = search.threshold(rate)
    return ForGallery(
        gallery_photos=search.gallery_photos,
        false_match_rate=rate,
        found=None if cosine is None else _in_gallery(system, search, cosine),
    )


def _in_gallery(system: System, search: GallerySearches, cosine: float) -> InGallery:
    return InGallery(
        gallery_photos=search.gallery_photos,
        searches=search.searches,
        threshold=_threshold(system, cosine),
        false_matches=search.false_matches(cosine),
        hits=search.hits(cosine),
    )


def _threshold(system: System, cosine: float) -> Threshold:
    return Threshold(cosine=cosine, similarity=system.similarity(cosine))
