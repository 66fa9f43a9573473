"""Attempts: sending a row's photo to a worker until an outcome is recorded or too many attempts have failed.

`Photo` and `generations.Entry` work the same way. A pending row without `enqueued_at` waits. A sender claims it, which
counts an attempt, and then sends the message. If the queue is down, the sender gives the row back and the attempt does
not count. If no outcome arrives in time, the row is stale: it waits again, or fails with the code `gave_up`. A crash
between claim and send therefore costs one lease, and no photo stays pending for ever.

A worker that cannot index a photo notes the cause. An attempt without a cause ended in silence: perhaps the photo
killed its worker, perhaps it was only near one that did. Then it is a suspect and travels alone. Silence proves
nothing, since the message may have waited in a worker that died, so the workers judge (`tasks/worker/starts.py`); a
silent row is given up much later.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any, Self, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Subquery, TextField, Value
from django.db.models.functions import Cast, Concat

from tasks import clock

PENDING, FAILED = "pending", "failed"
GAVE_UP = "gave_up"
#: The fields of an outcome.
OUTCOME_FIELDS = ("state", "code", "message", "settled_at")
#: A row whose attempts end in silence is given up after this many times `INDEX_MAX_ATTEMPTS`.
SILENT_FACTOR = 3

Row = TypeVar("Row", bound="Attempted")


class AttemptedQuerySet(models.QuerySet[Row]):
    """Every change expects the row to be pending, so it is harmless for a row that has settled meanwhile."""

    def claimable(self) -> Self:
        """Return the waiting rows. Evaluating this locks them and skips rows that another sender has locked."""
        waiting = self.filter(state=PENDING, enqueued_at=None)
        return waiting.select_for_update(skip_locked=True, of=("self",))

    def claim(self, rows: Collection[Row]) -> None:
        """Mark rows that this transaction has locked as sent, and count the attempt; its end is not known yet.

        The rows in memory still say how the attempt before it ended.
        """
        now = clock.utcnow()
        claimed = self.filter(pk__in=[row.pk for row in rows], state=PENDING)
        claimed.update(enqueued_at=now, attempts=F("attempts") + 1, code="", message="")
        for row in rows:
            row.enqueued_at = now

    def give_back(self, rows: Collection[Row]) -> None:
        """Undo the claim of rows that could not be sent, unless another sender has claimed them since."""
        claims = {row.enqueued_at for row in rows}
        unsent = self.filter(pk__in=[row.pk for row in rows], state=PENDING, enqueued_at__in=claims)
        unsent.update(enqueued_at=None, attempts=F("attempts") - 1)

    def send_again(self) -> int:
        """Let pending rows wait to be sent again; return how many."""
        return self.filter(state=PENDING).update(enqueued_at=None)

    def send_again_if_stale(self, *, sent_before: datetime) -> tuple[int, int]:
        """Let rows that were sent before that time wait again; return how many, and how many were given up instead.

        A row is given up after `INDEX_MAX_ATTEMPTS` attempts, if the last one has a cause.
        """
        stale = self.filter(state=PENDING, enqueued_at__lt=sent_before)
        most = settings.INDEX_MAX_ATTEMPTS
        spent = Q(attempts__gte=most) & ~Q(code="") | Q(attempts__gte=most * SILENT_FACTOR)
        given_up = stale.filter(spent).give_up()
        return stale.send_again(), given_up

    def give_up(self) -> int:
        """Fail the pending rows and say why the last attempt failed, if a worker reported it; return how many."""
        pending = self.filter(state=PENDING)
        sentence = (Value("No worker finished this photo in "), Cast("attempts", TextField()), Value(" attempts"))
        cause = (Value("; the last one: "), F("message"), Value(" ("), F("code"), Value(")"))
        given_up: dict[str, Any] = {"state": FAILED, "code": GAVE_UP, "settled_at": clock.utcnow()}
        explained = pending.exclude(code="").update(
            message=Concat(*sentence, *cause, output_field=TextField()), **given_up
        )
        return explained + pending.filter(code="").update(
            message=Concat(*sentence, Value("."), output_field=TextField()), **given_up
        )

    def note_cause(self, *, code: str, message: str) -> None:
        """Note why the last attempt failed. The rows stay pending."""
        self.filter(state=PENDING).update(code=code, message=message)


class Attempted(models.Model):
    """A row whose photo is sent to workers until it has an outcome. Subclasses add `state` and `gallery_id`."""

    #: Why the photo is not indexed: a stable code and one sentence. While pending: why the last attempt failed.
    code = models.CharField(max_length=50, blank=True)
    message = models.TextField(blank=True)
    #: How often it was sent since it became pending.
    attempts = models.PositiveIntegerField(default=0)
    #: When it was last sent; None while it waits to be sent.
    enqueued_at = models.DateTimeField(null=True, blank=True)
    #: When its outcome was recorded.
    settled_at = models.DateTimeField(null=True, blank=True)

    state: Any
    gallery_id: Any

    objects = AttemptedQuerySet.as_manager()

    class Meta:
        abstract = True

    @property
    def is_suspect(self) -> bool:
        """Whether the last attempt ended in silence."""
        return self.attempts > 0 and not self.code


def outcome_of(rows: models.QuerySet[Any]) -> dict[str, Subquery]:
    """Return the values for an update that copies the outcome of the one row that `rows` finds."""
    return {field: Subquery(rows.values(field)) for field in OUTCOME_FIELDS}


def messages_of(rows: Iterable[Row], size: int, *, isolate: bool = True) -> Iterator[list[Row]]:
    """Divide rows into messages of at most `size` rows of one gallery each.

    With `isolate`, a suspect gets a message of its own.
    """
    together: defaultdict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        if isolate and row.is_suspect:
            yield [row]
            continue
        message = together[row.gallery_id]
        message.append(row)
        if len(message) == size:
            yield together.pop(row.gallery_id)
    yield from together.values()
