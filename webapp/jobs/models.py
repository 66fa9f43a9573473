"""Jobs: long work that somebody asked for."""

import uuid

from django.conf import settings
from django.db import models


class Job(models.Model):
    """Work on many photos that one request or command has asked for. A search is none: it has a signed token instead.

    Its photos point at it; how far it is, is counted from their rows whenever somebody asks (job_selectors.py).
    """

    class Kind(models.TextChoices):
        IMPORT = "import", "import"
        DELETE = "delete", "deletion"
        RETRY = "retry", "retry"

    class State(models.TextChoices):
        RUNNING = "running", "running"
        FINISHED = "finished", "finished"
        CANCELLED = "cancelled", "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobs")
    gallery = models.ForeignKey("gallery.Gallery", on_delete=models.SET_NULL, null=True, related_name="jobs")
    #: The gallery's name when the job began: it outlives the gallery.
    gallery_name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    #: How many photos it was given. Later jobs may take some of them over, or delete them.
    total = models.PositiveIntegerField(default=0)
    #: Until then its producer may add more photos, so that it is not finished though nothing is pending.
    open_until = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created", "id"]
        indexes = [
            models.Index(fields=["owner", "-created"], name="job_owner_created"),
            models.Index(fields=["state"], name="job_state"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} in {self.gallery_name}"
