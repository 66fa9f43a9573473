"""Galleries, their photos, and the faces in them. The rows are the truth; queue messages are only transport."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from webapp.gallery.attempts import Attempted

#: The code of a photo whose import was cancelled before it was indexed.
CANCELLED = "cancelled"


class Gallery(models.Model):
    """A named set of photos: the unit of access and of search."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # PROTECT: deleting a user must not leave faces behind in the vector store.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="galleries")
    name = models.CharField(max_length=100)
    #: Set once its owner has deleted it; the row goes with its last photo.
    deleting = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

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


class Photo(Attempted):
    """One image file in a gallery."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        INDEXED = "indexed", "indexed"
        NO_FACES = "no_faces", "no faces"
        FAILED = "failed", "failed"
        DELETING = "deleting", "deleting"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gallery = models.ForeignKey(Gallery, on_delete=models.PROTECT, related_name="photos")
    #: The name the photo came with. Shown, never used as a path.
    filename = models.CharField(max_length=255)
    #: `<gallery id>/<photo id>`, made by the server.
    file = models.FileField(max_length=100)
    sha256 = models.CharField(max_length=64)
    byte_size = models.PositiveBigIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    #: Pixels of the upright picture; None until a worker has decoded it.
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    #: What the worker found in the file, e.g. "JPEG"; empty until then.
    image_format = models.CharField(max_length=20, blank=True)
    #: The job that last took it up.
    job = models.ForeignKey(
        "jobs.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="photos", db_index=False
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created", "id"]
        constraints = [
            # A photo on its way out does not stop anybody from adding the same file again.
            models.UniqueConstraint(
                fields=["gallery", "sha256"], condition=~Q(state="deleting"), name="photo_content_once_per_gallery"
            )
        ]
        indexes = [
            models.Index(fields=["gallery", "state"], name="photo_gallery_state"),
            models.Index(fields=["state", "enqueued_at", "created"], name="photo_state_enqueued_created"),
            models.Index(fields=["job", "state"], name="photo_job_state"),
            models.Index(fields=["settled_at"], name="photo_settled_at"),
        ]

    def __str__(self) -> str:
        return self.filename


#: States that change without anybody acting.
UNSETTLED = (Photo.State.PENDING, Photo.State.DELETING)


class FailedPhoto(Photo):
    """The dead-letter list: a failed photo that another attempt may help, once its cause is put right."""

    #: What another attempt cannot help is left out: files that are no pictures, and what somebody has cancelled.
    CODES = ("gave_up", "capacity_reached", "bad_image", "photo_missing")

    class Meta:
        proxy = True


class Tombstone(models.Model):
    """A photo whose faces must stay away: its row is gone, or its import was cancelled after it was sent.

    A worker may still hold a message about it, index it, and die before it can say so; or the message of a dead worker
    runs again. Once neither can be, its faces are removed one last time, and the tombstone goes when that is recorded.
    """

    photo_id = models.UUIDField(primary_key=True, editable=False)
    gallery_id = models.UUIDField()
    deleted_at = models.DateTimeField()
    #: When the last removal was sent.
    removal_sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["deleted_at"]
        indexes = [models.Index(fields=["removal_sent_at", "deleted_at"], name="tombstone_due")]

    def __str__(self) -> str:
        return str(self.photo_id)


class Face(models.Model):
    """One detected face. Its embeddings live in the vector store under the same id, which the worker gives.

    A face is kept when a later generation's pack does not find it any more: its name would be lost with it.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    photo = models.ForeignKey(Photo, on_delete=models.CASCADE, related_name="faces")
    person = models.ForeignKey("people.Person", on_delete=models.SET_NULL, null=True, blank=True, related_name="faces")
    #: Those whose pack finds it, and whose collection holds its embedding.
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
    #: Fingerprint of the detector that has found it there; empty when an older release has.
    detector = models.CharField(max_length=64, blank=True)

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
