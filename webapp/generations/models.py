"""Generations, the entries of photos in them, and their consistency checks."""

import uuid
from typing import Any, Final

from django.db import models
from django.db.models import Q

from tasks import clock
from tasks.messages.base import IndexSettings, Target
from webapp.gallery.attempts import Attempted

# Django's permissions: what they allow. Every member of the staff may look at generations.

#: Build one beside the active one.
START: Final = "generations.add_generation"
#: Pause, fill faster or slower, search with other parameters, check, activate, roll back.
CHANGE: Final = "generations.change_generation"
#: Drop one with its collection.
DROP: Final = "generations.delete_generation"


class Generation(models.Model):
    """One Milvus collection, filled by one pack. Searches use the active one; the others are filled beside it."""

    class State(models.TextChoices):
        #: Being filled.
        BUILDING = "building", "building"
        #: Every photo has an outcome in it, and the measured gates are open.
        READY = "ready", "ready"
        ACTIVE = "active", "active"
        #: Formerly active; kept up to date, so that a rollback loses nothing.
        RETIRED = "retired", "retired"
        #: Unusable; no longer filled.
        FAILED = "failed", "failed"

    pack = models.CharField(max_length=100)
    #: SHA-256 over the pack's files, and the number of values in an embedding; unset until a worker reports them.
    fingerprint = models.CharField(max_length=64, blank=True)
    dimension = models.PositiveIntegerField(null=True, blank=True)
    #: Fingerprint of the detector that the pack's workers use now. If two generations have the same one, faces that one
    #: has found need not be detected again for the other.
    detector = models.CharField(max_length=64, blank=True)
    collection = models.CharField(max_length=255, unique=True)
    #: Empty: the defaults of CollectionConfig.
    metric_type = models.CharField(max_length=20, blank=True)
    index_type = models.CharField(max_length=20, blank=True)
    index_params = models.JSONField(default=dict, blank=True)
    search_params = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.BUILDING)
    is_paused = models.BooleanField(default=False)
    #: The most photos per second; None: re-indexing slows down when searches do.
    rate_limit = models.FloatField(null=True, blank=True)
    #: Photos per second at which searches keep their latency, as found so far; None: not known.
    chosen_rate = models.FloatField(null=True, blank=True)
    #: Search latency (95th percentile, milliseconds) while nothing was sent to it, and when that was measured.
    baseline_ms = models.FloatField(null=True, blank=True)
    baseline_at = models.DateTimeField(null=True, blank=True)
    #: When the rate was last chosen.
    paced_at = models.DateTimeField(null=True, blank=True)
    #: Every photo that was settled before this time has an entry; None: some may have none.
    looked_through_at = models.DateTimeField(null=True, blank=True)
    #: When photos were last sent to it.
    fed_at = models.DateTimeField(null=True, blank=True)
    #: The run id of the latest measurement, when it was requested, and the answers
    #: (`tasks.messages.generations.Measured`). For the gates these are "own" and "active", the two collections; a
    #: generation that has been activated has "searched".
    measuring = models.CharField(max_length=36, blank=True)
    measured_at = models.DateTimeField(null=True, blank=True)
    measurements = models.JSONField(default=dict, blank=True)
    #: Its collection is being dropped.
    is_dropping = models.BooleanField(default=False)
    created = models.DateTimeField(default=clock.utcnow, editable=False)
    activated_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="active"), name="generation_one_active"),
        ]

    def __str__(self) -> str:
        return f"generation {self.pk} ({self.pack})"

    @property
    def searched_answer(self) -> dict[str, Any] | None:
        """What a worker has measured of it as it is searched now (`Measured`); None until then."""
        answer: dict[str, Any] | None = self.measurements.get("searched")
        return answer if answer and answer["run_id"] == self.measuring else None

    @property
    def match_recall(self) -> float | None:
        """The share (0..1) of true matches that searches find, as measured last; None: not measured, or no faces.

        Just after its activation, it is what its gates saw.
        """
        recall: float | None = self.measurements.get("searched", self.measurements.get("own", {})).get("match_recall")
        return recall

    @property
    def target(self) -> Target:
        """The generation as messages carry it."""
        index = IndexSettings(
            metric_type=self.metric_type,
            index_type=self.index_type,
            index_params=self.index_params,
            search_params=self.search_params,
        )
        return Target(
            pack=self.pack,
            collection=self.collection,
            fingerprint=self.fingerprint,
            dimension=self.dimension,
            index=index,
        )


#: The states of generations that uploads, removals and erasures go to.
LIVE_STATES = (Generation.State.BUILDING, Generation.State.READY, Generation.State.ACTIVE, Generation.State.RETIRED)


class Entry(Attempted):
    """A photo in a generation, with its outcome there. A settled photo without an entry has yet to be sent."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        INDEXED = "indexed", "indexed"
        NO_FACES = "no_faces", "no faces"
        FAILED = "failed", "failed"

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="entries")
    photo = models.ForeignKey("gallery.Photo", on_delete=models.CASCADE, related_name="entries")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)

    class Meta:
        verbose_name_plural = "entries"
        constraints = [models.UniqueConstraint(fields=["generation", "photo"], name="entry_once_per_generation")]
        indexes = [models.Index(fields=["generation", "state", "enqueued_at"], name="entry_generation_state")]

    def __str__(self) -> str:
        return f"{self.photo_id} in {self.generation_id}"

    @property
    def gallery_id(self) -> uuid.UUID:
        """The photo's gallery."""
        return self.photo.gallery_id


class Check(models.Model):
    """A generation's latest consistency check: its collection is compared with the database, range by range."""

    generation = models.OneToOneField(Generation, on_delete=models.CASCADE, related_name="latest_check")
    #: Identifies the check, so that answers to earlier ones are ignored.
    run_id = models.UUIDField(default=uuid.uuid4, editable=False)
    #: Whether differences are repaired.
    is_repair = models.BooleanField(default=False)
    started_at = models.DateTimeField(default=clock.utcnow, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    #: The current range: its gallery and first photo id. None: faces that belong to no gallery.
    gallery_id = models.UUIDField(null=True, blank=True)
    first = models.CharField(max_length=36, blank=True)
    #: When this range was last sent; None: not yet.
    sent_at = models.DateTimeField(null=True, blank=True)
    #: How many faces were found and how many differ, with some of the ids of each kind.
    face_count = models.PositiveIntegerField(default=0)
    missing_count = models.PositiveIntegerField(default=0)
    orphaned_count = models.PositiveIntegerField(default=0)
    duplicated_count = models.PositiveIntegerField(default=0)
    missing = models.JSONField(default=list, blank=True)
    orphaned = models.JSONField(default=list, blank=True)
    duplicated = models.JSONField(default=list, blank=True)

    def __str__(self) -> str:
        return f"check of {self.generation}"


class Trial(models.Model):
    """The latest change of the search parameters of a generation that is searched.

    The generation has the new parameters at once. When their match recall is known they are kept or undone.
    """

    class State(models.TextChoices):
        RUNNING = "running", "running"
        KEPT = "kept", "kept"
        UNDONE = "undone", "undone"

    generation = models.OneToOneField(Generation, on_delete=models.CASCADE, related_name="latest_trial")
    search_params = models.JSONField(default=dict, blank=True)
    #: What an undone trial goes back to.
    previous = models.JSONField(default=dict, blank=True)
    #: Match recall (0..1) with the previous parameters and with the new ones; None: not measured.
    recall_before = models.FloatField(null=True, blank=True)
    recall_after = models.FloatField(null=True, blank=True)
    #: Whether the new parameters are kept even when they find less.
    is_confirmed = models.BooleanField(default=False)
    actor = models.CharField(max_length=150)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"trial of {self.generation}"
