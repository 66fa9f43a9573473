"""The starter packs' promise: they find the same portrait again under turn, shift, light and JPEG noise.

100 LFW faces (grey, 25 x 25, magnified) each against their varied selves. The figures are printed with `-s`.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import pictures
from worker.config import FaceConfig
from worker.recognition.interfaces import Crop, Embeddings, Pack
from worker.recognition.packs.loading import load_pack

SEEDS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module", params=["starter", "starter-compact"])
def pack(request: pytest.FixtureRequest) -> Pack:
    return load_pack(FaceConfig(packs_dir=Path("unused"), pack=request.param))


@pytest.fixture(scope="module")
def known(pack: Pack) -> Embeddings:
    return pack.recognizer.embed(pictures.lfw_crops())


def jittered(crop: Crop, random: np.random.Generator) -> Crop:
    across, down = random.uniform(-4, 4, 2)
    return pictures.varied(
        crop,
        degrees=random.uniform(-6, 6),
        shift=(across, down),
        light=random.uniform(0.7, 1.3),
        contrast=random.uniform(0.7, 1.3),
        jpeg_quality=50,
    )


def similarities(pack: Pack, known: Embeddings, seed: int) -> NDArray[np.float32]:
    """Return the similarity of every varied face (rows) to every known face (columns)."""
    random = np.random.default_rng(seed)
    return pack.recognizer.embed([jittered(crop, random) for crop in pictures.lfw_crops()]) @ known.T


@pytest.mark.parametrize("seed", SEEDS)
def test_a_varied_portrait_is_found_again_among_a_hundred(pack: Pack, known: Embeddings, seed: int) -> None:
    table = similarities(pack, known, seed)
    genuine, others = np.diag(table), table[~np.eye(len(table), dtype=bool)]
    at_rank_one = int((table.argmax(axis=1) == np.arange(len(table))).sum())
    low, high = np.percentile(genuine, 5), np.percentile(others, 99)
    print(
        f"\nseed {seed}: rank 1 {at_rank_one}, genuine min {genuine.min():.3f} p5 {low:.3f} "
        f"median {np.median(genuine):.3f}, others median {np.median(others):.3f} p99 {high:.3f} "
        f"max {others.max():.3f}"
    )

    assert at_rank_one >= 98
    assert low > high + 0.1
    # The pack's own threshold shows nearly every genuine match and no stranger.
    assert (genuine >= pack.match_similarity).mean() >= 0.94
    assert (others >= pack.match_similarity).mean() <= 0.0005


def test_the_extremes_of_every_single_change_stay_above_the_threshold(pack: Pack, known: Embeddings) -> None:
    crops = pictures.lfw_crops()[:20]
    for change in (
        {"degrees": 6.0},
        {"degrees": -6.0},
        {"shift": (4.0, 0.0)},
        {"shift": (0.0, -4.0)},
        {"light": 0.7},
        {"contrast": 0.7},
        {"jpeg_quality": 50},
    ):
        varied = pack.recognizer.embed([pictures.varied(crop, **change) for crop in crops])  # type: ignore[arg-type]
        again = np.sum(varied * known[:20], axis=1)
        assert np.percentile(again, 10) > pack.match_similarity, change
