"""Jobs: long work that someone requested."""

import uuid

from django.conf import settings
from django.db import models

from tasks import clock


class Job(models.Model):
    """Work on many photos that one request or command started. A search is not a job: it has a ticket instead.

    The job's photos refer to it, or their `Rendering` does; its progress is counted from these rows on demand
    (`webapp/jobs/selectors.py`).
    """

    class Kind(models.TextChoices):
        IMPORT = "import", "import"
        DELETE = "delete", "deletion"
        RETRY = "retry", "retry"
        MOVE = "move", "move"
        RENDITIONS = "renditions", "renditions"

    class State(models.TextChoices):
        RUNNING = "running", "running"
        FINISHED = "finished", "finished"
        CANCELLED = "cancelled", "cancelled"

    #: Kinds that can be cancelled. What the others do begins with taking their photos out of a gallery.
    STOPPABLE = (Kind.IMPORT, Kind.RETRY, Kind.RENDITIONS)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    #: The gallery's owner: whose turn it is when photos are sent.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobs")
    #: Who asked for it, if that is known and this user still exists: a member may, and so may a command.
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    gallery = models.ForeignKey("gallery.Gallery", on_delete=models.SET_NULL, null=True, related_name="jobs")
    #: The gallery's name when the job started; kept after the gallery is deleted.
    gallery_name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    #: How many photos it was given. Later jobs may take over or delete some of them.
    total = models.PositiveIntegerField(default=0)
    #: Until then more photos may be added, so the job is not finished even if nothing is pending.
    open_until = models.DateTimeField(null=True, blank=True)
    #: When photos of it were last sent to the index workers: its owner's, and its own, turn is over then.
    fed_at = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(default=clock.utcnow, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created", "id"]
        indexes = [
            models.Index(fields=["owner", "-created"], name="job_owner_created"),
            models.Index(fields=["owner", "-fed_at"], name="job_owner_fed"),
            models.Index(fields=["state"], name="job_state"),
        ]

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it is running."""
        return (self.finished_at - self.created).total_seconds() if self.finished_at else None

    def __str__(self) -> str:
        return f"{self.get_kind_display()} in {self.gallery_name}"
