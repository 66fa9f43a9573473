"""Every system looks at every photo, in turns, so that whatever else the machine does slows all of them alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.photos import Photo
from benchmarks.accuracy.systems import STAGES, Seen, System
from worker.errors import ImageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one system saw, a row a photo.

    `embeddings`, float32 (n, dimension): zeros where `is_found`, bool (n,), says that no face was. `other_boxes`, int
    (n,). `seconds`, float (n, stages): CPU time in the order of STAGES.
    """

    system: System
    embeddings: NDArray[np.float32]
    is_found: NDArray[np.bool_]
    other_boxes: NDArray[np.int64]
    seconds: NDArray[np.float64]

    def of_photos(self, rows: Sequence[int]) -> "Results":
        """Return the results of these photos only."""
        chosen = np.array(rows, dtype=np.int64)
        return Results(
            system=self.system,
            embeddings=self.embeddings[chosen],
            is_found=self.is_found[chosen],
            other_boxes=self.other_boxes[chosen],
            seconds=self.seconds[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Whom each decoded photo shows, what each system saw in it, and which photos could not be decoded."""

    people: list[str]
    results: list[Results]
    unreadable: list[str]


def measured(photos: Iterable[Photo], systems: Sequence[System]) -> Measured:
    """Show each photo to each system, once; who comes first rotates. Only embeddings and figures are kept.

    Raises PhotosUnusable when a photo's bytes cannot be had; one that cannot be decoded is only listed.
    """
    people: list[str] = []
    unreadable: list[str] = []
    seen: list[list[Seen]] = [[] for _ in systems]
    for number, photo in enumerate(photos):
        data = photo.read()
        turns = [(number + turn) % len(systems) for turn in range(len(systems))]
        try:
            if not people:
                # A system's first look may allocate what later ones use.
                for system in systems:
                    system.see(data)
            looks = {turn: systems[turn].see(data) for turn in turns}
        except ImageError as error:
            unreadable.append(f"{photo.person + '/' + photo.name!r}: {error}")
            continue
        people.append(photo.person)
        for turn, look in looks.items():
            seen[turn].append(look)
    results = [_results(system, looks) for system, looks in zip(systems, seen, strict=True)]
    return Measured(people=people, results=results, unreadable=unreadable)


def _results(system: System, looks: Sequence[Seen]) -> Results:
    dimension = next((len(look.embedding) for look in looks if look.embedding is not None), 1)
    nothing = np.zeros(dimension, dtype=np.float32)
    rows = [nothing if look.embedding is None else look.embedding for look in looks]
    return Results(
        system=system,
        embeddings=np.array(rows, dtype=np.float32).reshape(len(looks), dimension),
        is_found=np.array([look.embedding is not None for look in looks], dtype=bool),
        other_boxes=np.array([look.other_boxes for look in looks], dtype=np.int64),
        seconds=np.array([[look.seconds[stage] for stage in STAGES] for look in looks]).reshape(-1, len(STAGES)),
    )
