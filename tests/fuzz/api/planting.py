"""What the fuzzed service holds: users, galleries, members, keys, indexed photos, named faces. Prints it as JSON.

Runs inside the service's own environment, by `manage.py shell`.
"""

import json
import uuid

from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests import pictures
from tests.fuzz.api.owners import GALLERIES
from tests.waiting import eventually
from webapp.accounts.callers import ALL_SCOPES, Scope
from webapp.accounts.keys import key_create
from webapp.gallery import services
from webapp.gallery.models import Face, Gallery, Level, Member, Photo
from webapp.indexing import adding
from webapp.jobs.models import Job
from webapp.people.models import Person
from webapp.people.services import face_name

MEMBERS = {"vera": Level.VIEWER, "edith": Level.EDITOR}
USERS = ("ada", "bob", "vera", "edith", "staff", "operator")


def canary(kind: str) -> str:
    """Return a name that occurs nowhere else."""
    return f"{kind}-{uuid.uuid4().hex}"


def plant() -> None:
    users = {name: User.objects.create_user(name, password=canary("password")) for name in USERS}
    for name in ("staff", "operator"):
        users[name].is_staff = True
        users[name].save()
    users["operator"].user_permissions.set(Permission.objects.filter(content_type__app_label="generations"))
    galleries = {
        name: services.gallery_create(owner=users[owner], name=canary("gallery")) for name, owner in GALLERIES.items()
    }
    for name, level in MEMBERS.items():
        Member.objects.create(gallery=galleries["shared"], user=users[name], level=level)
    markers = {name: add_photos(gallery) for name, gallery in galleries.items()}
    eventually(lambda: not Photo.objects.filter(state=Photo.State.PENDING).exists(), "the photos are indexed")
    for face in Face.objects.filter(photo__gallery__in=galleries.values()):
        face_name(face=face, name=canary("person"))
    keys = {name: keys_of(user) for name, user in users.items()}
    keys["ada"]["limited"] = key_create(
        user=users["ada"],
        name="limited",
        scopes=ALL_SCOPES - {Scope.ADMIN},
        galleries=[galleries["shared"]],
    )[1]
    browser = Client()
    browser.force_login(users["ada"])
    print(
        json.dumps(
            {
                "users": {name: user.pk for name, user in users.items()},
                "keys": keys,
                "session": browser.cookies["sessionid"].value,
                "galleries": {name: known_of(gallery, markers[name]) for name, gallery in galleries.items()},
                "digests": digests(),
            }
        )
    )


def keys_of(user: User) -> dict[str, str]:
    """Make a key of each scope that the user may have; return their tokens."""
    scopes = [scope for scope in Scope if user.is_staff or scope != Scope.ADMIN]
    return {scope: key_create(user=user, name=scope, scopes=[scope])[1] for scope in scopes}


def add_photos(gallery: Gallery) -> list[str]:
    """Add three photos with faces and one without; return what marks the bytes of each."""
    contents = [pictures.edited_portrait()] * 3 + [pictures.pillow_bytes(pictures.Pillow.new("L", (64, 64)), "JPEG")]
    markers = [canary("bytes") for _ in contents]
    files = [
        SimpleUploadedFile(canary("file") + ".jpg", pictures.with_jpeg_segment(content, marker.encode()))
        for content, marker in zip(contents, markers, strict=True)
    ]
    added = adding.photos_add(gallery=gallery, files=files)
    assert len(added.added) == len(files)
    return markers


def digests() -> list[str]:
    """Return what is in addresses of renditions: of the first photo, then of faces. Those of like pictures are one."""
    photo = Photo.objects.exclude(renditions="").first()
    assert photo is not None
    return [photo.renditions, *Face.objects.order_by().exclude(crop="").values_list("crop", flat=True).distinct()]


def known_of(gallery: Gallery, markers: list[str]) -> dict[str, list[str]]:
    """Return the ids of what is in a gallery by the name of the parameter that takes them, and its canaries."""
    photos = Photo.objects.filter(gallery=gallery)
    people = Person.objects.filter(gallery=gallery)
    faces = Face.objects.filter(photo__gallery=gallery)
    jobs = Job.objects.filter(gallery=gallery)
    assert faces
    return {
        "gallery_id": [str(gallery.id)],
        "photo_id": [str(photo.id) for photo in photos],
        "face_id": [str(face.id) for face in faces],
        "person_id": [str(person.id) for person in people],
        "job_id": [str(job.id) for job in jobs],
        "names": [gallery.name, *(photo.filename for photo in photos), *(person.name for person in people)],
        "bytes": markers,
    }
