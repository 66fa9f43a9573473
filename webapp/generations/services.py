"""Operators' changes to generations. Each is one transaction, expects a certain state, and is audited."""

import re
import secrets
from collections.abc import Collection, Mapping
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from tasks import clock
from tasks.errors import QueueUnavailable
from tasks.messages.generations import DropRequest
from tasks.queues import index_queue
from tasks.targets import collection_config
from tasks.work_queue import work_queue
from webapp.accounts.audit import audit
from webapp.gallery.models import Face, Gallery, Photo
from webapp.generations import gates, selectors
from webapp.generations.entries import entries_forget, photos_follow
from webapp.generations.models import LIVE_STATES, Entry, Generation
from webapp.http import problems
from webapp.http.problems import Problem, not_found
from worker.config import bad_pack_name, is_pack_name
from worker.errors import ConfigError

State = Generation.State

#: Rows in one statement.
BATCH_SIZE = 5000


def generation_start(
    *,
    actor: str,
    pack: str = "",
    index_type: str = "",
    metric_type: str = "",
    index_params: Mapping[str, int] | None = None,
    search_params: Mapping[str, int] | None = None,
    rate_limit: float | None = None,
) -> Generation:
    """Start a generation beside the active one, with another pack, another index or the same ones.

    Without a pack it has the active one's, and embeddings are copied; otherwise the pack's workers index the photos.
    Raises Problem when another one is being built already, or there is no such index or pack.
    """
    active = selectors.active_generation()
    if pack and pack != active.pack:
        _check_pack(pack)
    generation = Generation(
        pack=pack or active.pack,
        index_type=index_type,
        metric_type=metric_type,
        index_params=dict(index_params or {}),
        search_params=dict(search_params or {}),
        rate_limit=rate_limit,
    )
    if generation.pack == active.pack:
        generation.fingerprint, generation.dimension = active.fingerprint, active.dimension
    with transaction.atomic(durable=True):
        Generation.objects.select_for_update().get(pk=active.pk)  # concurrent starts take turns here
        other = Generation.objects.filter(state__in=(State.BUILDING, State.READY), is_dropping=False).first()
        if other is not None:
            raise Problem(
                "reindex_running", f"Another generation is being built: activate or drop {other} first.", status=409
            )
        generation.collection = _collection_name(generation.pack)
        try:
            collection_config(generation.target)
        except ConfigError as error:
            raise Problem("bad_index", str(error), status=400) from error
        generation.save(force_insert=True)
        audit(actor=actor, action="reindex.start", subject=str(generation), index_type=index_type)
    work_queue().publish_targets(selectors.live_targets())
    return generation


def gallery_rebuild(*, actor: str, gallery: Gallery) -> int:
    """Index all photos of a gallery again in the active generation. Return how many."""
    active = selectors.active_generation()
    with transaction.atomic(durable=True):
        found = Entry.objects.filter(generation=active, photo__gallery=gallery, photo__state__in=selectors.SETTLED)
        count = entries_forget(found, generation=active)
        audit(actor=actor, action="reindex.rebuild", subject=str(gallery.id), photos=count)
    return count


def generation_pause(*, generation: Generation, actor: str, is_paused: bool) -> None:
    """Stop sending photos to the generation, or resume. Photos that were sent are still indexed."""
    with transaction.atomic(durable=True):
        _live(generation).update(is_paused=is_paused)
        audit(actor=actor, action="reindex.pause" if is_paused else "reindex.resume", subject=str(generation))


def rate_set(*, generation: Generation, actor: str, rate_limit: float | None) -> None:
    """Limit the photos per second; None: re-indexing slows down when searches do."""
    with transaction.atomic(durable=True):
        _live(generation).update(rate_limit=rate_limit)
        audit(actor=actor, action="reindex.rate", subject=str(generation), rate_limit=rate_limit)


def generation_activate(*, generation: Generation, actor: str, override: Collection[str] = ()) -> None:
    """Make this generation the active one; the previous one is retired and kept up to date.

    Raises Problem when a gate is closed and not overridden by name; overrides go into the audit log.
    """
    _switch(generation, actor=actor, override=override, expected=(State.BUILDING, State.READY), wanted=gates.GATES)


def generation_rollback(*, actor: str, override: Collection[str] = ()) -> Generation:
    """Activate the previously active generation again; return it. Raises Problem as `generation_activate` does."""
    previous = Generation.objects.filter(state=State.RETIRED, is_dropping=False).order_by("-retired_at").first()
    if previous is None:
        raise Problem("no_rollback", "There is no retired generation to go back to.", status=409)
    _switch(previous, actor=actor, override=override, expected=(State.RETIRED,), wanted=gates.ROLLBACK_GATES)
    return previous


def _switch(
    generation: Generation,
    *,
    actor: str,
    override: Collection[str],
    expected: Collection[str],
    wanted: Collection[str],
) -> None:
    if unknown := sorted(set(override) - set(gates.GATES)):
        raise Problem(
            "no_such_gate", f"There is no gate {unknown[0]!r}; the gates are {', '.join(gates.GATES)}.", status=400
        )
    looked_at = [gate for gate in gates.gates_of(generation) if gate.name in wanted]
    closed = [gate for gate in looked_at if not gate.is_open]
    if refused := [gate for gate in closed if gate.name not in override]:
        reasons = " ".join(f"{gate.name}: {gate.detail}" for gate in refused)
        raise Problem("gate_closed", f"{generation} is not activated. {reasons}", status=409)
    now = clock.utcnow()
    with transaction.atomic(durable=True):
        live = {each.pk: each for each in Generation.objects.select_for_update().all()}
        chosen = live.get(generation.pk)
        if chosen is None or chosen.state not in expected or chosen.is_dropping:
            raise Problem("not_ready", f"{generation} cannot be activated in its present state.", status=409)
        if chosen.search_params != generation.search_params:
            # The gates were measured with the others.
            raise Problem("not_ready", f"The search parameters of {generation} have just been changed.", status=409)
        Generation.objects.filter(state=State.ACTIVE).update(state=State.RETIRED, retired_at=now)
        Generation.objects.filter(pk=chosen.pk).update(
            state=State.ACTIVE, activated_at=now, is_paused=False, measuring="", measured_at=None
        )
        # Pending photos were sent to the previous pack's workers; send them to those of this generation instead.
        Photo.objects.send_again()
        photos_follow(chosen)
        overridden = {gate.name: gate.detail for gate in closed}
        audit(actor=actor, action="reindex.activate", subject=str(chosen), overridden=overridden)
    work_queue().publish_targets(selectors.live_targets())


def generation_drop(*, generation: Generation, actor: str) -> str:
    """Drop a generation and its collection. Return a warning when the queue is down; it is then dropped later.

    Raises Problem for the active one.
    """
    with transaction.atomic(durable=True):
        found = Generation.objects.select_for_update().filter(pk=generation.pk).first()
        if found is None:
            raise not_found("generation")
        if found.state == State.ACTIVE:
            raise Problem("is_active", "The active generation cannot be dropped: activate another first.", status=409)
        Generation.objects.filter(pk=found.pk).update(is_dropping=True, is_paused=True)
        audit(actor=actor, action="reindex.drop", subject=str(found))
    work_queue().publish_targets(selectors.live_targets())
    try:
        drop_send(found)
    except QueueUnavailable:
        return problems.QUEUE_DOWN
    return ""


def drop_send(generation: Generation) -> None:
    """Ask a worker to drop the collection. Raises QueueUnavailable."""
    Generation.objects.filter(pk=generation.pk).update(fed_at=clock.utcnow())
    queue = index_queue(selectors.active_generation().pack)
    work_queue().send(DropRequest(target=generation.target), queue=queue)


def drops_send_again() -> None:
    """Send again the requests that no worker has answered in time. Raises QueueUnavailable."""
    since = clock.utcnow() - timedelta(seconds=settings.INDEX_LEASE_SECONDS)
    for generation in Generation.objects.filter(is_dropping=True, fed_at__lt=since):
        drop_send(generation)


def drop_record(*, collection: str) -> None:
    """Delete the row of a generation whose collection was dropped. May run twice."""
    for generation in Generation.objects.filter(collection=collection, is_dropping=True):
        for rows in (Face.generations.through.objects.filter(generation_id=generation.pk), generation.entries.all()):
            while ids := list(rows.values_list("pk", flat=True)[:BATCH_SIZE]):
                rows.filter(pk__in=ids).delete()
        generation.delete()


def _check_pack(pack: str) -> None:
    """Raise Problem unless the pack is installed on this machine, or its workers run on any.

    A generation of another pack would be built for ever, and no other could be built meanwhile.
    """
    if not is_pack_name(pack):
        raise Problem("bad_pack", bad_pack_name(pack), status=400)
    if pack not in selectors.usable_packs():
        remedy = f"install it with `manage.py packs fetch {pack}`, or start its workers where it is"
        raise Problem("pack_missing", f"The pack {pack} is not installed here: {remedy}.", status=409)


def _live(generation: Generation) -> QuerySet[Generation]:
    """Return the generation's row for an update. Raises Problem when the generation is not live."""
    found = Generation.objects.filter(pk=generation.pk, state__in=LIVE_STATES, is_dropping=False)
    if not found.exists():
        raise Problem("not_live", f"{generation} is no longer live.", status=409)
    return found


def _collection_name(pack: str) -> str:
    """Return a name that no collection has ever had, because late messages may name dropped ones."""
    return f"faces_{re.sub(r'[^A-Za-z0-9_]', '_', pack)}_{secrets.token_hex(4)}"
