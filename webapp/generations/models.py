"""Generations: what is searched, and what will be."""

import uuid
from typing import Any

from django.db import models
from django.db.models import Q

from tasks.messages.base import IndexSettings, Target
from webapp.gallery.attempts import Attempted


class Generation(models.Model):
    """One Milvus collection, filled by one pack. One is active: it is searched. The others are filled beside it."""

    class State(models.TextChoices):
        #: It is being filled.
        BUILDING = "building", "building"
        #: Every photo has an outcome in it, and it was measured.
        READY = "ready", "ready"
        ACTIVE = "active", "active"
        #: It was active. It is kept up to date, so that a rollback loses nothing.
        RETIRED = "retired", "retired"
        #: It cannot be used. It is filled no more.
        FAILED = "failed", "failed"

    pack = models.CharField(max_length=100)
    #: SHA-256 of the pack's files, and how many values an embedding has; empty until a worker of the pack has told.
    fingerprint = models.CharField(max_length=64, blank=True)
    dimension = models.PositiveIntegerField(null=True, blank=True)
    #: Fingerprint of the detector that the pack's workers have now: of two generations with the same one, what the one
    #: has found the other need not look for.
    detector = models.CharField(max_length=64, blank=True)
    collection = models.CharField(max_length=255, unique=True)
    #: Empty: the defaults of CollectionConfig.
    metric_type = models.CharField(max_length=20, blank=True)
    index_type = models.CharField(max_length=20, blank=True)
    index_params = models.JSONField(default=dict, blank=True)
    search_params = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.BUILDING)
    is_paused = models.BooleanField(default=False)
    #: Photos per second at most; None: as many as searches bear.
    rate_limit = models.FloatField(null=True, blank=True)
    #: Photos per second that searches bear, as found out so far; None: not known.
    chosen_rate = models.FloatField(null=True, blank=True)
    #: What searches took (95th percentile, milliseconds) while nothing was sent to it, and when that was found out.
    baseline_ms = models.FloatField(null=True, blank=True)
    baseline_at = models.DateTimeField(null=True, blank=True)
    #: When the rate was last chosen.
    paced_at = models.DateTimeField(null=True, blank=True)
    #: Every photo that was settled before then has an entry; None: some may have none.
    looked_through_at = models.DateTimeField(null=True, blank=True)
    #: When photos were last sent to it.
    fed_at = models.DateTimeField(null=True, blank=True)
    #: The request whose answers count, when it was sent, and the answers (`tasks.messages.generations.Measured`). For
    #: the gates they are "own" and "active", the two collections; of one that has been activated there is "searched".
    measuring = models.CharField(max_length=36, blank=True)
    measured_at = models.DateTimeField(null=True, blank=True)
    measurements = models.JSONField(default=dict, blank=True)
    #: It is on its way out: its collection is being deleted.
    is_dropping = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
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
        return answer if answer and answer["ticket"] == self.measuring else None

    @property
    def match_recall(self) -> float | None:
        """The share (0..1) of true matches that searches find, as measured last; None: not measured, or no faces.

        Just activated it is what its gates have seen.
        """
        recall: float | None = self.measurements.get("searched", self.measurements.get("own", {})).get("match_recall")
        return recall

    @property
    def target(self) -> Target:
        """What messages for it carry."""
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


#: Generations that uploads, deletions and erasures go to.
LIVE_STATES = (Generation.State.BUILDING, Generation.State.READY, Generation.State.ACTIVE, Generation.State.RETIRED)


class Entry(Attempted):
    """A photo in a generation: what became of it there. Without one, the photo is still to be sent."""

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
    """A comparison of a generation's collection with the database, one range of photos after the other; the latest."""

    generation = models.OneToOneField(Generation, on_delete=models.CASCADE, related_name="latest_check")
    #: Names it: an answer to an earlier one is of no use.
    ticket = models.UUIDField(default=uuid.uuid4, editable=False)
    #: Whether what differs is put right.
    is_repair = models.BooleanField(default=False)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    #: Where it is: the gallery, and the first photo id of the range that is looked at. None: faces of no gallery.
    gallery_id = models.UUIDField(null=True, blank=True)
    first = models.CharField(max_length=36, blank=True)
    #: When this range was last sent; None: it is to be sent.
    sent_at = models.DateTimeField(null=True, blank=True)
    #: Faces that were there, and those that differ. Of each kind some ids are kept.
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
    """A change of the search parameters of a generation that is searched; the latest.

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
