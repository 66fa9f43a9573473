"""One against one: how well the cosine of two photos says whether they show the same person.

Embeddings are unit vectors, float32, shape (n, dimension), one a photo; `people` are numbers, shape (n,).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.identification import Embeddings, People, cosines_of_rows, lowest_threshold
from benchmarks.accuracy.intervals import Share, share_of

FOLDS = 10
#: Pairs of one person in a fold, and as many of two: LFW's view 2 has 300 of each.
PAIRS_IN_FOLD = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and standard deviation of cosines."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The cosines of all pairs of photos.

    `same` and `of_person`, shape (pairs of one person,): each cosine, and whose it is. `largest_different`: the largest
    cosines of pairs of two people, falling. `different_pairs`: how many such pairs there are.
    """

    same: NDArray[np.float32]
    of_person: People
    largest_different: NDArray[np.float32]
    different_pairs: int
    different: Spread | None

    @property
    def spread_of_same(self) -> Spread | None:
        return Spread(mean=float(self.same.mean()), deviation=float(self.same.std())) if len(self.same) else None

    def threshold(self, false_positive_rate: float) -> float | None:
        """Return the lowest cosine that at most this share of the pairs of two people reach; None with too few pairs.

        Raises ValueError for a rate above the largest for which cosines were kept.
        """
        return lowest_threshold(self.largest_different, self.different_pairs, false_positive_rate)

    def true_positives(self, cosine: float) -> Share | None:
        """Return the share of the pairs of one person that reach this cosine; the threshold counts as given."""
        return share_of(self.same >= cosine, self.of_person)


def all_pairs(embeddings: Embeddings, people: People, *, largest_rate: float) -> Pairs:
    """Return the cosines of all pairs, of two people's only the largest: one more than `largest_rate` allows."""
    photos = len(people)
    same_pairs = sum(int(count) * (int(count) - 1) // 2 for count in np.bincount(people))
    different_pairs = photos * (photos - 1) // 2 - same_pairs
    kept = int(largest_rate * different_pairs + 1e-6) + 1
    same: list[NDArray[np.float32]] = []
    of_person: list[People] = []
    largest = np.empty(0, dtype=np.float32)
    total = squares = 0.0
    for rows, cosines in cosines_of_rows(embeddings):
        is_same = people[rows, None] == people[None, :]
        is_pair = np.arange(rows.start, rows.stop)[:, None] < np.arange(photos)[None, :]
        same.append(cosines[is_pair & is_same])
        of_person.append(np.broadcast_to(people[rows, None], is_same.shape)[is_pair & is_same])
        different = cosines[is_pair & ~is_same]
        total += float(different.sum(dtype=np.float64))
        squares += float(np.square(different, dtype=np.float64).sum())
        largest = _largest(np.concatenate([largest, different]), kept)
    mean = total / max(1, different_pairs)
    return Pairs(
        same=np.concatenate([np.empty(0, dtype=np.float32), *same]),
        of_person=np.concatenate([np.empty(0, dtype=np.int64), *of_person]),
        largest_different=np.sort(largest)[::-1],
        different_pairs=different_pairs,
        different=(
            Spread(mean=mean, deviation=max(0.0, squares / different_pairs - mean**2) ** 0.5)
            if different_pairs
            else None
        ),
    )


def _largest(cosines: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    return np.partition(cosines, -count)[-count:] if len(cosines) > count else cosines


@dataclass(frozen=True, slots=True, kw_only=True)
class TenFold:
    """Mean accuracy over the folds with its standard error, and the number of pairs in all folds."""

    accuracy: float
    standard_error: float
    pairs: int


def ten_fold(embeddings: Embeddings, people: People, *, seed: int = 1) -> TenFold | None:
    """Return how often a threshold chosen on nine folds is right on the tenth, as LFW's protocol has it.

    (Huang et al., "Labeled Faces in the Wild", UMass Amherst 07-49, 2007, view 2.) People are dealt out to the folds
    at random, and pairs are made within a fold: of one person at most PAIRS_IN_FOLD, drawn at random, and as many of
    two people. None when a fold would have no pair of either kind.
    """
    rng = np.random.default_rng(seed)
    folds = [_fold(embeddings, people, photos, rng) for photos in dealt_out(people, rng)]
    if any(not len(is_same) for _, is_same in folds):
        return None
    accuracies = []
    for fold, (cosines, is_same) in enumerate(folds):
        others = [other for at, other in enumerate(folds) if at != fold]
        threshold = best_threshold(
            np.concatenate([cosines for cosines, _ in others]), np.concatenate([is_same for _, is_same in others])
        )
        accuracies.append(float(np.mean((cosines >= threshold) == is_same)))
    return TenFold(
        accuracy=float(np.mean(accuracies)),
        standard_error=float(np.std(accuracies, ddof=1) / FOLDS**0.5),
        pairs=sum(len(is_same) for _, is_same in folds),
    )


def dealt_out(people: People, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return which photos are in each fold: all of a person's in one.

    People with several photos are dealt out before the others, so that the folds have about as many pairs.
    """
    counts = np.bincount(people)
    shuffled = rng.permutation(len(counts))
    fold_of_person = np.empty(len(counts), dtype=np.int64)
    fold_of_person[shuffled[np.argsort(counts[shuffled] < 2, kind="stable")]] = np.arange(len(counts)) % FOLDS
    return [np.flatnonzero(fold_of_person[people] == fold) for fold in range(FOLDS)]


def best_threshold(cosines: NDArray[np.float32], is_same: NDArray[np.bool_]) -> float:
    """Return the threshold that is right most often: halfway between two cosines, the highest such of several."""
    order = np.argsort(-cosines, kind="stable")
    falling, same = cosines[order], is_same[order]
    # right[k]: accept the first k. Equal cosines cannot be told apart, so no threshold lies between them.
    right = np.concatenate([[0], np.cumsum(np.where(same, 1, -1))]) + int((~same).sum())
    right[1:-1][falling[1:] == falling[:-1]] = -1
    accepted = int(np.argmax(right))
    above = float(falling[accepted - 1]) if accepted else float(falling[0]) + 1
    below = float(falling[accepted]) if accepted < len(falling) else float(falling[-1]) - 1
    return (above + below) / 2


def _fold(
    embeddings: Embeddings, people: People, photos: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the cosines of a fold's pairs, and which of them are of one person: half of them, or none at all."""
    first, second = np.triu_indices(len(photos), k=1)
    is_same = people[photos[first]] == people[photos[second]]
    same, different = np.flatnonzero(is_same), np.flatnonzero(~is_same)
    count = min(len(same), len(different), PAIRS_IN_FOLD)
    chosen = np.concatenate([rng.choice(same, count, replace=False), rng.choice(different, count, replace=False)])
    cosines = np.einsum("ij,ij->i", embeddings[photos[first[chosen]]], embeddings[photos[second[chosen]]])
    return cosines.astype(np.float32), is_same[chosen]
