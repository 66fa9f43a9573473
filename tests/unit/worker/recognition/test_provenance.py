"""Every face on its own photo: many threads, random arrival, rejects and failures, and nothing is mixed up or lost."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.packs import make_pack
from benchmarks.scenes import scene
from tests import pictures
from worker.bulk import PhotoOutcome, PhotoToIndex
from worker.config import FaceConfig
from worker.errors import Busy
from worker.face_index import FaceIndex
from worker.reasons import why_no_face
from worker.recognition.engine import FaceEngine
from worker.vector_search.memory import InMemoryVectorStore

THREADS = 16
GALLERY = str(UUID(int=7))
#: So small that callers meet `busy`.
MAX_WAITING = 28
#: A picture whose input the model is made to fail on: this grey all over.
POISON = np.full((640, 640, 3), 77, np.uint8)
#: Faces under this are rejected: the smallest that are planted.
MIN_FACE_PIXELS = 30


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, and what must come out of it."""

    data: bytes
    state: str
    code: str = ""
    embeddings: NDArray[np.float32] | None = None
    rejected: int = 0


SOUND = str(UUID(int=8))
SOUND_SAMPLE = Sample(pictures.saved(pictures.gradient_picture(), "PNG"), "no_faces", "no_face")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaceEngine]:
    folder = make_pack(tmp_path_factory.mktemp("packs") / "tiny", "tiny")
    engine = FaceEngine(
        FaceConfig(
            packs_dir=folder.parent,
            pack="tiny",
            max_waiting=MAX_WAITING,
            runs_at_once=2,
            decode_threads=2,
            min_face_pixels=MIN_FACE_PIXELS,
        )
    )
    engine.open()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def samples(engine: FaceEngine) -> list[Sample]:
    """Scenes of all sizes with what a lone caller finds in them, a poisonous picture, and files that are none."""
    samples = [
        Sample(b"no picture", "failed", "not_an_image"),
        Sample(pictures.saved(POISON, "PNG"), "failed", "bad_image"),
        Sample(pictures.sample_bytes("tom_hanks")[:2000], "failed", "image_truncated"),
    ]
    for seed in range(40):
        side = (320, 480, 640, 960)[seed % 4]
        image, _ = scene(faces=seed % 6, size=(side, side * 3 // 4), seed=seed)
        seen = engine.detect(image)
        [faces] = engine.embed([seen.faces])
        samples.append(
            Sample(
                pictures.saved(image, "PNG"),
                "indexed" if faces else "no_faces",
                "" if faces else why_no_face([face.reason for face in seen.rejected]).code,
                np.array([face.embedding for face in faces]) if faces else None,
                len(seen.rejected),
            )
        )
    assert sum(sample.rejected for sample in samples) > 5
    return samples


@pytest.fixture
def poisonous(engine: FaceEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the detector's sessions fail on any run that holds the poisonous picture."""
    model: Any = engine.pack.models[0]
    for name in ("_session", "_wide_session"):
        monkeypatch.setattr(model, name, FailingOnPoison(getattr(model, name)))


class FailingOnPoison:
    """A session that raises, as onnxruntime does when a device is lost, for one picture."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, names: None, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        [batch] = inputs.values()
        if any(np.ptp(item) == 0 for item in batch):
            raise RuntimeError("device lost")
        return self._session.run(names, inputs)  # type: ignore[no-any-return]


@pytest.mark.usefixtures("poisonous")
@pytest.mark.parametrize(
    ("seed", "photos"), [(0, 200), *(pytest.param(seed, 1000, marks=pytest.mark.long) for seed in range(1, 21))]
)
def test_every_face_is_on_its_own_photo_and_every_caller_is_answered(
    engine: FaceEngine, samples: list[Sample], seed: int, photos: int
) -> None:
    store = InMemoryVectorStore(name="faces", dimension=engine.pack.dimension, fingerprint=engine.pack.fingerprint)
    store.open()
    index = FaceIndex(engine, store)
    chances = random.Random(seed)
    of_photo = {str(UUID(int=1000 + number)): chances.choice(samples) for number in range(photos)}
    outcomes = push(index, of_photo, seed)

    assert outcomes.keys() == of_photo.keys()
    stored: dict[str, list[NDArray[np.float32]]] = {photo_id: [] for photo_id in of_photo}
    for record in store.iterate():
        stored[record.photo_id].append(record.embedding)
    for photo_id, sample in of_photo.items():
        outcome = outcomes[photo_id]
        assert (outcome.state, outcome.code, len(outcome.rejected)) == (sample.state, sample.code, sample.rejected)
        wanted = sample.embeddings if sample.embeddings is not None else np.empty((0, engine.pack.dimension))
        found = np.array([face.face.embedding for face in outcome.faces]).reshape(wanted.shape)
        assert_rows_agree(found, wanted)
        kept = np.array(stored[photo_id]).reshape(wanted.shape)
        assert_rows_agree(kept[np.lexsort(kept.T)], wanted[np.lexsort(wanted.T)])


def assert_rows_agree(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    assert ((found * wanted).sum(axis=1) > 0.9999).all()


def push(index: FaceIndex, of_photo: dict[str, Sample], seed: int) -> dict[str, PhotoOutcome]:
    """Index the photos in chunks of random sizes from sixteen threads that come and go at random."""
    waiting, lock = list(of_photo), threading.Lock()
    outcomes: dict[str, PhotoOutcome] = {}
    errors: list[BaseException] = []

    def take(chances: random.Random) -> list[str]:
        with lock:
            return [waiting.pop() for _ in range(min(len(waiting), chances.randint(1, 6)))]

    def work(chances: random.Random) -> None:
        try:
            while chunk := take(chances):
                # The first picture is sound: a model that fails on all pictures of a chunk is to blame, not they.
                photos = [_photo(SOUND, SOUND_SAMPLE), *(_photo(each, of_photo[each]) for each in chunk)]
                for outcome in until_not_busy(partial(index.add, photos))[1:]:
                    outcomes[outcome.photo_id] = outcome
                threading.Event().wait(chances.random() * 0.01)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(random.Random(f"{seed} {n}"),), daemon=True) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    assert not [thread for thread in threads if thread.is_alive()], "a caller was never answered"
    assert errors == []
    return outcomes


def _photo(photo_id: str, sample: Sample) -> PhotoToIndex:
    return PhotoToIndex(photo_id=photo_id, gallery_id=GALLERY, read=lambda: sample.data)


def until_not_busy(call: Callable[[], list[PhotoOutcome]]) -> list[PhotoOutcome]:
    while True:
        try:
            return call()
        except Busy:
            threading.Event().wait(0.005)
