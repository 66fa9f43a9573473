"""Photos whose faces the target's own detector has found are sent with all that describing them takes."""

import pytest

from tasks.messages.indexing import PhotoRef
from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, face_info
from webapp.gallery.models import Face, Gallery, Photo
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation
from webapp.indexing import dispatch

DETECTOR = "d" * 64


@pytest.fixture
def active(db: None) -> Generation:
    generation = active_generation()
    generation.detector = DETECTOR
    generation.save()
    return generation


def sent(queue: WatchedQueue, photo: Photo, located_in: Generation | None) -> PhotoRef:
    queue.forget()
    dispatch.send_photos(
        [photo], target=active_generation().target, queue="reindex.other", alone=False, located_in=located_in
    )
    [(_, [ref])] = queue.indexed
    return ref


def test_a_face_that_the_same_detector_has_found_travels_with_its_landmarks(
    gallery: Gallery, queue: WatchedQueue, active: Generation
) -> None:
    face = face_info()
    photo = add_indexed_photo(gallery, face)
    Face.objects.update(detector=DETECTOR)

    ref = sent(queue, photo, active)

    assert ref.detector == DETECTOR
    [known] = ref.known_faces
    assert known.model_dump() == face.model_dump(exclude={"quality", "crop"})


def test_faces_that_the_generation_does_not_find_stay_out(
    gallery: Gallery, queue: WatchedQueue, active: Generation
) -> None:
    found, kept = face_info(), face_info(left=200)
    photo = add_indexed_photo(gallery, found, kept)
    Face.objects.update(detector=DETECTOR)
    Face.objects.get(id=kept.face_id).generations.clear()

    assert [known.face_id for known in sent(queue, photo, active).known_faces] == [found.face_id]
    assert len(sent(queue, photo, None).known_faces) == 2


def test_a_photo_with_a_face_of_another_detector_is_to_be_looked_at(
    gallery: Gallery, queue: WatchedQueue, active: Generation
) -> None:
    same, other = face_info(), face_info(left=200)
    photo = add_indexed_photo(gallery, same, other)
    Face.objects.update(detector=DETECTOR)
    Face.objects.filter(id=other.face_id).update(detector="")

    ref = sent(queue, photo, active)

    assert ref.detector == ""
    assert [known.landmarks for known in ref.known_faces] == [(), ()]


def test_a_photo_without_faces_is_to_be_looked_at(gallery: Gallery, queue: WatchedQueue, active: Generation) -> None:
    photo = add_indexed_photo(gallery)
    Face.objects.all().delete()

    assert sent(queue, photo, active) == PhotoRef(
        photo_id=str(photo.id), storage_key=str(photo.file.name), is_rendered=True
    )
