"""Changing the search parameters of a generation while it is searched: tried at once, kept only if they find enough."""

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from tasks import clock
from tasks.targets import collection_config
from tasks.work_queue import work_queue
from webapp.accounts.audit import audit
from webapp.generations import selectors
from webapp.generations.models import LIVE_STATES, Generation, Trial
from webapp.http.problems import Problem
from worker.errors import ConfigError

State = Generation.State

#: Two recalls that differ by less are the same: a photo that is added between two measurements may change the sample.
SAME_RECALL: Final = 0.005


def search_params_set(
    *, generation: Generation, actor: str, search_params: Mapping[str, int], is_confirmed: bool = False
) -> None:
    """Search a live generation with these parameters from now on; nothing is copied or built.

    If the generation has been activated, the change is on trial until the match recall is measured: a worse one is
    undone, unless it `is_confirmed`. A generation that is still being built is measured again for its gates. Raises
    Problem when it is no longer live, or its index takes no such parameters.
    """
    with transaction.atomic(durable=True):
        found = Generation.objects.select_for_update().filter(pk=generation.pk, state__in=LIVE_STATES).first()
        if found is None or found.is_dropping:
            raise Problem("not_live", f"{generation} is no longer live.", status=409)
        before, found.search_params = found.search_params, dict(search_params)
        try:
            collection_config(found.target)
        except ConfigError as error:
            raise Problem("bad_index", str(error), status=400) from error
        if found.state in (State.BUILDING, State.READY):
            found.state, found.measurements = State.BUILDING, {}
        else:
            _trial_start(found, before, actor=actor, is_confirmed=is_confirmed)
        _forget_measurement(found)
        found.save(update_fields=["state", "search_params", "measuring", "measured_at", "measurements"])
        audit(
            actor=actor,
            action="reindex.set",
            subject=str(found),
            search_params=found.search_params,
            previous=before,
            is_confirmed=is_confirmed,
        )
    work_queue().publish_targets(selectors.live_targets())


def trials_settle() -> None:
    """Keep or undo the changes whose match recall has been measured."""
    for trial in Trial.objects.filter(state=Trial.State.RUNNING).select_related("generation"):
        if trial.generation.searched_answer is not None:
            _trial_settle(trial.generation_id)


def trial_summary(generation: Generation) -> dict[str, Any] | None:
    """Return the generation's latest trial, as its page, the API and `manage.py reindex` show it; None without one."""
    trial = Trial.objects.filter(generation=generation).first()
    if trial is None:
        return None
    names = ("state", "search_params", "previous", "recall_before", "recall_after", "is_confirmed")
    times = ("started_at", "settled_at")
    return {name: getattr(trial, name) for name in (*names, *times)} | {"detail": _detail(trial)}


def _trial_start(generation: Generation, before: dict[str, int], *, actor: str, is_confirmed: bool) -> None:
    running = Trial.objects.filter(generation=generation, state=Trial.State.RUNNING).first()
    Trial.objects.update_or_create(
        generation=generation,
        defaults={
            "search_params": generation.search_params,
            # Do not go back to parameters that a running trial has not proved.
            "previous": running.previous if running else before,
            "recall_before": running.recall_before if running else generation.match_recall,
            "recall_after": None,
            "is_confirmed": is_confirmed,
            "actor": actor,
            "state": Trial.State.RUNNING,
            "started_at": clock.utcnow(),
            "settled_at": None,
        },
    )


def _trial_settle(generation_id: int) -> None:
    with transaction.atomic(durable=True):
        generation = Generation.objects.select_for_update().get(pk=generation_id)
        trial = Trial.objects.filter(generation=generation, state=Trial.State.RUNNING).first()
        if trial is None or generation.searched_answer is None:
            return  # somebody has set other parameters in the meantime
        trial.recall_after, trial.settled_at = generation.searched_answer["match_recall"], clock.utcnow()
        is_kept = trial.is_confirmed or not _is_worse(trial)
        trial.state = Trial.State.KEPT if is_kept else Trial.State.UNDONE
        trial.save()
        if not is_kept:
            generation.search_params = trial.previous
            _forget_measurement(generation)
            generation.save(update_fields=["search_params", "measuring", "measured_at", "measurements"])
        action = "reindex.set.kept" if is_kept else "reindex.set.undone"
        audit(actor=trial.actor, action=action, subject=str(generation), detail=_detail(trial))
    work_queue().publish_targets(selectors.live_targets())


def _forget_measurement(generation: Generation) -> None:
    """Have the generation measured again; an answer that is on its way is for other parameters."""
    generation.measuring, generation.measured_at = "", None
    if generation.measurements:
        generation.measurements = {**generation.measurements, "searched": {}}


def _is_worse(trial: Trial) -> bool:
    before, after, least = trial.recall_before, trial.recall_after, settings.RECALL_MIN
    if after is None:
        return False
    if before is None:
        return after < least
    return after < before - SAME_RECALL or after < least <= before


def _detail(trial: Trial) -> str:
    """Say in one sentence what the trial has found and what has become of it."""
    new, old = (_text(params) for params in (trial.search_params, trial.previous))
    if trial.state == Trial.State.RUNNING:
        return f"Searching with {new} until its match recall is measured; before, with {old}."
    if trial.recall_after is None:
        return f"Kept {new}: there was nothing to measure."
    before = "" if trial.recall_before is None else f" ({trial.recall_before:.2%} with {old})"
    found = f"searches find {trial.recall_after:.2%} of the matches that exact search finds{before}"
    least = f"at least {settings.RECALL_MIN:.2%} are required"
    if trial.state == Trial.State.UNDONE:
        return f"Undone, back to {old}: with {new} {found}; {least}."
    worse = ", which is worse but was confirmed" if _is_worse(trial) else ""
    return f"Kept {new}{worse}: {found}; {least}."


def _text(search_params: Mapping[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in search_params.items()) or "the index's own parameters"
