"""The users of the load benchmark: each has an account, a session and a gallery of their own, made in bulk.

Every gallery holds copies of the same photos, faces and embeddings, as if each user had uploaded them: a thousand
uploads would take longer than the load. Django must be set up.
"""

import copy
import secrets
import uuid
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any

#: Rows that are written at once.
BATCH = 500


def make_people(count: int, *, photos_of: str, filenames: Sequence[str], milvus_uri: str) -> list[dict[str, str]]:
    """Make users who each own a copy of these photos of the gallery `photos_of`.

    Return the headers that log each of them in, and the id of their gallery: `cookie`, `csrf_token`, `gallery`.
    """
    from django.contrib.auth.models import User

    from webapp.gallery.models import Gallery, Photo

    names = [f"user-{number:04}" for number in range(count)]
    User.objects.bulk_create([User(username=name, password="!" + secrets.token_hex(20)) for name in names], BATCH)
    users = list(User.objects.filter(username__in=names).order_by("username"))
    galleries = [Gallery(owner=user, name="people") for user in users]
    Gallery.objects.bulk_create(galleries, BATCH)
    photos = list(Photo.objects.filter(gallery_id=photos_of, filename__in=filenames))
    assert len(photos) == len(filenames), "a photo that is searched for is missing"
    _copy(photos, galleries, milvus_uri)
    cookies = _log_in(users)
    return [
        {"cookie": f"sessionid={session}; csrftoken={token}", "csrf_token": token, "gallery": str(gallery.id)}
        for (session, token), gallery in zip(cookies, galleries, strict=True)
    ]


def _copy(photos: Sequence[Any], galleries: Sequence[Any], milvus_uri: str) -> None:
    """Copy the photos with their entries, faces and embeddings into each gallery."""
    from pymilvus import MilvusClient

    from webapp.gallery.models import Face, Photo
    from webapp.generations.models import Entry
    from webapp.generations.selectors import active_generation

    generation, client = active_generation(), MilvusClient(milvus_uri)
    copies, entries, faces, vectors = [], [], [], []
    for photo in photos:
        own = list(photo.faces.all())
        kept = client.query(generation.collection, ids=[str(face.id) for face in own], output_fields=["*"])
        rows = {row["face_id"]: row for row in kept}
        entry = photo.entries.get(generation=generation)
        for gallery in galleries:
            copied = _changed(photo, id=uuid.uuid4(), gallery=gallery, job=None)
            copies.append(copied)
            entries.append(_changed(entry, id=None, photo=copied))
            for face in own:
                faces.append(_changed(face, id=uuid.uuid4(), photo=copied))
                new = {"face_id": str(faces[-1].id), "photo_id": str(copied.id), "gallery_id": str(gallery.id)}
                vectors.append({**rows[str(face.id)], **new})
    Photo.objects.bulk_create(copies, BATCH)
    Entry.objects.bulk_create(entries, BATCH)
    Face.objects.bulk_create(faces, BATCH)
    memberships = Face.generations.through
    memberships.objects.bulk_create(
        [memberships(face_id=face.id, generation_id=generation.pk) for face in faces], BATCH
    )
    for start in range(0, len(vectors), BATCH):
        client.upsert(generation.collection, vectors[start : start + BATCH])
    # As if they had long been there: searches would first scan them, and become faster at some time during the load.
    client.flush(generation.collection)
    client.close()


def _changed(row: Any, **values: Any) -> Any:
    """Return an unsaved copy of a row with other values."""
    changed = copy.copy(row)
    changed._state = copy.copy(row._state)
    changed._state.adding = True
    for name, value in values.items():
        setattr(changed, name, value)
    return changed


def _log_in(users: Sequence[Any]) -> list[tuple[str, str]]:
    """Make a session for each user; return its key and a CSRF token."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.utils import timezone

    from webapp.accounts.models import Session

    store = import_module(settings.SESSION_ENGINE).SessionStore()
    until = timezone.now() + timedelta(days=1)
    sessions = [
        Session(
            session_key=secrets.token_hex(16),
            session_data=store.encode(
                {
                    SESSION_KEY: str(user.pk),
                    BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
                    HASH_SESSION_KEY: user.get_session_auth_hash(),
                }
            ),
            expire_date=until,
            user=user,
        )
        for user in users
    ]
    Session.objects.bulk_create(sessions, BATCH)
    return [(session.session_key, secrets.token_hex(16)) for session in sessions]
