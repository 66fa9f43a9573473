"""A gallery too large to upload for a test: rows with real renditions, made in a process of the service's.

`manage.py shell` runs it: see `add_many_photos`.
"""

import itertools
import uuid
from datetime import UTC, datetime, timedelta

from tasks import clock
from tasks.storage.photo_files import digest_of, rendition_save
from tests import pictures
from tests.service import RunningService
from webapp.gallery.models import Gallery, Photo
from worker.config import ImageLimits
from worker.images.decoding import decode
from worker.renditions import Pictures, renditions_of

#: How many of them can be seen; the other ones have no picture.
WITH_PICTURES = 240


def add_many_photos(service: RunningService, gallery_id: str, count: int) -> None:
    """Add photos to a gallery of a running service; the first one, IMG_00000.jpg, is the newest."""
    service.manage("shell", "-c", f"from {__name__} import save; save({gallery_id!r}, {count})")


def save(gallery_id: str, count: int) -> None:
    gallery = Gallery.objects.get(id=gallery_id)
    now = clock.utcnow()
    photos = [
        Photo(
            gallery=gallery,
            filename=f"IMG_{number:05}.jpg",
            folder=f"2024/{('Ibiza', 'Oslo')[number % 2]}",
            sha256=uuid.uuid4().hex * 2,
            byte_size=3_000_000,
            state=Photo.State.INDEXED if number < WITH_PICTURES else Photo.State.NO_FACES,
            image_format="JPEG",
            taken_at=datetime(2024, 6, 1, tzinfo=UTC) + timedelta(minutes=7 * number),
            created=now - timedelta(seconds=number),
        )
        for number in range(count)
    ]
    for photo, (width, height, made) in zip(photos, itertools.cycle(_samples()), strict=False):
        photo.width, photo.height = width, height
        if photo.state != Photo.State.INDEXED:
            continue
        photo.renditions = digest_of(made.thumbnail, made.preview)
        rendition_save(photo.id, "thumbnail", photo.renditions, made.thumbnail)
        rendition_save(photo.id, "preview", photo.renditions, made.preview)
    Photo.objects.bulk_create(photos, batch_size=1000)


def _samples() -> list[tuple[int, int, Pictures]]:
    found = []
    for content in pictures.sample_files().values():
        picture = decode(content, limits=ImageLimits())
        made = renditions_of(picture, []).pictures
        assert made is not None
        height, width = picture.pixels.shape[:2]
        found.append((width, height, made))
    return found
