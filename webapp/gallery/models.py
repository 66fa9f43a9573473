"""Galleries, their photos, and the faces in them. The rows are the truth; queue messages are only transport."""

import uuid
from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from tasks import clock
from webapp.gallery.attempts import Attempted


class Gallery(models.Model):
    """A named set of photos: the unit of access and of search."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # PROTECT: deleting a user must not leave faces behind in the vector store.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="galleries")
    name = models.CharField(max_length=100)
    #: Whether members may download the files as they were uploaded, and not only look at the pictures.
    may_download = models.BooleanField(default=False)
    #: Set once its owner has deleted it; the row is deleted with the last photo.
    deleting = models.BooleanField(default=False)
    created = models.DateTimeField(default=clock.utcnow, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "galleries"
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"], condition=Q(deleting=False), name="gallery_name_once_per_owner"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Level(models.IntegerChoices):
    """What somebody may do in a gallery; each level includes those before."""

    #: See, search.
    VIEWER = 1, "viewer"
    #: Add, name, delete.
    EDITOR = 2, "editor"
    #: Share, change its settings, transfer, delete it. Nobody is a member at this level: it is the gallery's owner's.
    OWNER = 3, "owner"

    @property
    def may_edit(self) -> bool:
        return self >= Level.EDITOR

    @property
    def is_owner(self) -> bool:
        return self == Level.OWNER


#: The levels that a member may have.
MEMBER_LEVELS: Final = [(each.value, each.label) for each in (Level.VIEWER, Level.EDITOR)]


class Member(models.Model):
    """A user with whom a gallery is shared. Its owner is not among them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gallery = models.ForeignKey(Gallery, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    level = models.PositiveSmallIntegerField(choices=MEMBER_LEVELS)
    created = models.DateTimeField(default=clock.utcnow, editable=False)

    class Meta:
        ordering = ["created", "id"]
        constraints = [models.UniqueConstraint(fields=["gallery", "user"], name="member_once_per_gallery")]

    def __str__(self) -> str:
        return f"{self.user} in {self.gallery}"


class Invitation(models.Model):
    """A link with which users become members of a gallery. Its token is shown once; revoking it deletes the row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gallery = models.ForeignKey(Gallery, on_delete=models.CASCADE, related_name="invitations")
    #: SHA-256 of the token.
    digest = models.CharField(max_length=64, unique=True)
    level = models.PositiveSmallIntegerField(choices=MEMBER_LEVELS)
    #: How many more people may accept it.
    places = models.PositiveSmallIntegerField(default=1)
    created = models.DateTimeField(default=clock.utcnow, editable=False)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-created", "-id"]

    def __str__(self) -> str:
        return f"invitation to {self.gallery}"


class Usage(models.Model):
    """What a user has in all galleries: counted as rows come and go, because a quota is asked for with every photo.

    It changes in the same transaction as the photo's row. A photo counts until its row and its file are gone.
    """

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="usage")
    photos = models.PositiveBigIntegerField(default=0)
    byte_size = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"usage of {self.owner}"


class Photo(Attempted):
    """One image file in a gallery. A settled photo shows the outcome of its entry in the active generation."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        INDEXED = "indexed", "indexed"
        NO_FACES = "no_faces", "no faces"
        FAILED = "failed", "failed"
        #: Its job was cancelled before it was indexed.
        CANCELLED = "cancelled", "cancelled"
        DELETING = "deleting", "deleting"
        #: It was just moved here: its vectors are being removed from the gallery that it was in.
        MOVING = "moving", "moving"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gallery = models.ForeignKey(Gallery, on_delete=models.PROTECT, related_name="photos")
    #: The name of the uploaded file. Shown, never used as a path.
    filename = models.CharField(max_length=255)
    #: The folder it was in, below the imported one, with "/" between names; empty: there, or a single file.
    folder = models.CharField(max_length=1000, blank=True)
    #: See `tasks/storage/photo_files.py`.
    file = models.FileField(max_length=100)
    sha256 = models.CharField(max_length=64)
    byte_size = models.PositiveBigIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    #: The gallery that it was moved from, while its vectors are still to be removed there; None: there are none.
    moved_from = models.UUIDField(null=True, blank=True)
    #: Size of the upright picture in pixels; None until a worker has decoded it.
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    #: The file's format, for example "JPEG"; empty until a worker has decoded it.
    image_format = models.CharField(max_length=20, blank=True)
    #: What the camera's clock showed when it was taken, kept as if it were UTC; None: its file does not say.
    taken_at = models.DateTimeField(null=True, blank=True)
    #: The time zone of that clock, where the file says it.
    taken_utc_offset_minutes = models.SmallIntegerField(null=True, blank=True)
    #: By what it is sorted among photos with and without a date.
    dated_at = models.GeneratedField(
        expression=Coalesce("taken_at", "created"), output_field=models.DateTimeField(), db_persist=True
    )
    camera = models.CharField(max_length=100, blank=True)
    #: What is wrong with a picture that could be decoded even so: a code and a sentence; empty: nothing.
    warning_code = models.CharField(max_length=50, blank=True)
    warning = models.TextField(blank=True)
    #: The digest of its thumbnail and preview; empty: it has none.
    renditions = models.CharField(max_length=16, blank=True)
    #: The latest job that it belongs to.
    job = models.ForeignKey(
        "jobs.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="photos", db_index=False
    )
    created = models.DateTimeField(default=clock.utcnow, editable=False)

    #: Set by `webapp/generations/faces.py` where it is shown.
    face_count: int

    class Meta:
        ordering = ["-created", "-id"]
        constraints = [
            # The same file may be added again while the old photo is being deleted.
            models.UniqueConstraint(
                fields=["gallery", "sha256"], condition=~Q(state="deleting"), name="photo_content_once_per_gallery"
            )
        ]
        indexes = [
            models.Index(fields=["gallery", "state", "enqueued_at"], name="photo_gallery_state_enqueued"),
            models.Index(fields=["state", "enqueued_at"], name="photo_state_enqueued"),
            models.Index(fields=["job", "state", "enqueued_at", "created"], name="photo_job_state_enqueued"),
            models.Index(fields=["settled_at"], name="photo_settled_at"),
            # Lists in parts begin anywhere, in both directions: see webapp/http/rest/cursors.py.
            models.Index(fields=["gallery", "created", "id"], name="photo_gallery_created"),
            models.Index(fields=["gallery", "filename", "id"], name="photo_gallery_filename"),
            models.Index(fields=["gallery", "dated_at", "id"], name="photo_gallery_dated"),
            models.Index(fields=["gallery", "folder"], name="photo_gallery_folder"),
            models.Index(
                fields=["moved_from", "enqueued_at"],
                name="photo_moved_from",
                condition=Q(moved_from__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.filename


#: States that change without anyone's action.
UNSETTLED = (Photo.State.PENDING, Photo.State.DELETING, Photo.State.MOVING)


class FailedPhoto(Photo):
    """The dead-letter list: failed photos that may succeed if they are retried once the cause is fixed."""

    #: Files that are not pictures are left out: a retry would not change their outcome. A limit may have been raised.
    CODES = ("gave_up", "kills_workers", "capacity_reached", "bad_image", "image_too_large", "photo_missing")

    class Meta:
        proxy = True


#: The photos that another attempt may index: cancelled ones, and failed ones whose cause may be gone.
MAY_SUCCEED = Q(state=Photo.State.CANCELLED) | Q(state=Photo.State.FAILED, code__in=FailedPhoto.CODES)


class Rendering(Attempted):
    """A photo whose renditions a job has made. Deleted once it has them; a failed one says why it has not."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    photo = models.OneToOneField(Photo, on_delete=models.CASCADE, related_name="rendering")
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="renderings", db_index=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)

    class Meta:
        indexes = [
            models.Index(fields=["state", "enqueued_at"], name="rendering_state_enqueued"),
            models.Index(fields=["job", "state"], name="rendering_job_state"),
        ]

    def __str__(self) -> str:
        return f"renditions of {self.photo_id}"

    @property
    def gallery_id(self) -> uuid.UUID:
        """The photo's gallery."""
        return self.photo.gallery_id


#: The renderings that may succeed in another attempt: see `MAY_SUCCEED`.
MAY_BE_RENDERED = Q(state=Rendering.State.CANCELLED) | Q(state=Rendering.State.FAILED, code__in=FailedPhoto.CODES)


class Tombstone(models.Model):
    """A photo that must not be indexed again in a gallery.

    Its row is deleted, its import was cancelled after it was sent, or it was moved to another gallery.

    A worker may still hold a message about it, index it and die before it reports the outcome, or the message of a dead
    worker may be delivered again. Once neither is possible, the photo's vectors are removed one last time, and the
    tombstone is deleted when that removal is recorded.
    """

    photo_id = models.UUIDField(editable=False)
    gallery_id = models.UUIDField(editable=False)
    deleted_at = models.DateTimeField()
    #: When the last removal was sent.
    removal_sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["deleted_at"]
        constraints = [
            models.UniqueConstraint(fields=["photo_id", "gallery_id"], name="tombstone_once_per_photo_and_gallery")
        ]
        indexes = [models.Index(fields=["removal_sent_at", "deleted_at"], name="tombstone_due")]

    def __str__(self) -> str:
        return str(self.photo_id)


class Face(models.Model):
    """One detected face. Its embeddings are in the vector store under the same id, which the worker assigns.

    A face that the pack of a later generation does not find is kept, because its name would be lost with it.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    photo = models.ForeignKey(Photo, on_delete=models.CASCADE, related_name="faces")
    person = models.ForeignKey("people.Person", on_delete=models.SET_NULL, null=True, blank=True, related_name="faces")
    #: The generations whose pack finds it, and whose collections therefore hold its embedding.
    generations = models.ManyToManyField("generations.Generation", related_name="faces", blank=True)
    #: The box, in pixels of the upright picture.
    left = models.FloatField()
    top = models.FloatField()
    right = models.FloatField()
    bottom = models.FloatField()
    #: Five (x, y) points in pixels of the upright picture.
    landmarks = models.JSONField(default=list)
    score = models.FloatField()
    quality = models.FloatField()
    #: Fingerprint of the detector that found it at this place; empty if the worker did not report one.
    detector = models.CharField(max_length=64, blank=True)
    #: The digest of its rendition, a crop around it; empty: it has none.
    crop = models.CharField(max_length=16, blank=True)

    class Meta:
        ordering = ["left", "id"]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top
