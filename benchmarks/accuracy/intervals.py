"""Shares with their 95 % intervals, by drawing people again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2_000
#: The ends of the interval, in percent.
ENDS = (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share (0..1), or the difference of two, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def share_of(hits: NDArray[np.bool_], people: NDArray[np.int64], *, seed: int = 1) -> Share | None:
    """Return the share of hits; None when there are no trials.

    `people` says, shape (n,), to whom each trial belongs. Trials of one person resemble each other, so the interval
    comes from drawing people, with all their trials, with replacement (the cluster bootstrap; Davison and Hinkley,
    "Bootstrap Methods and their Application", 3.8), and taking percentiles.
    """
    share = difference_of(hits, np.zeros_like(hits), people, seed=seed)
    return share and Share(value=share.value, low=max(0.0, share.low), high=min(1.0, share.high))


def difference_of(
    hits: NDArray[np.bool_], others: NDArray[np.bool_], people: NDArray[np.int64], *, seed: int = 1
) -> Share | None:
    """Return the share of `hits` less that of `others` in the same trials, with the interval of this difference."""
    if len(people) == 0:
        return None
    _, of_person = np.unique(people, return_inverse=True)
    trials = np.bincount(of_person).astype(np.float64)
    gains = np.bincount(of_person, weights=hits.astype(np.float64) - others)
    persons = len(trials)
    rng = np.random.default_rng(seed)
    drawn = np.empty(DRAWS)
    for draw in range(DRAWS):
        weights = np.bincount(rng.integers(persons, size=persons), minlength=persons)
        drawn[draw] = (weights @ gains) / (weights @ trials)
    value = float(gains.sum() / trials.sum())
    low, high = (float(end) for end in np.percentile(drawn, ENDS))
    if low == high:
        # Where all people are alike, drawing them again says nothing: the exact interval (Clopper and Pearson, 1934) of
        # as many trials as there are people, all with the same outcome.
        margin = 1 - (ENDS[0] / 100) ** (1 / persons)
        low, high = max(-1.0, value - margin), min(1.0, value + margin)
    return Share(value=value, low=low, high=high)
