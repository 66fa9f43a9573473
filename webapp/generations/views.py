"""The pages of generations, for staff."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe
from pydantic import Field, Json

from tasks.dictionaries import milvus_is_local
from webapp.accounts.callers import caller_of
from webapp.accounts.staff import actor_of, staff_only, staff_with
from webapp.generations import overview, selectors, services
from webapp.generations.gates import GATES, ROLLBACK_GATES
from webapp.generations.models import CHANGE, DROP, START, Generation, Trial
from webapp.generations.schemas import RateIn, SearchParamsIn, StartIn
from webapp.generations.searched import trials
from webapp.http.pages import STOP_POLLING, form_of
from webapp.http.problems import Problem
from webapp.http.schemas import IndexParameters
from worker.vector_search.milvus.indexes import INDEXES, INDEXES_OF_MILVUS_LITE

#: Changed answers that are shown.
CHANGES_SHOWN = 50

State = Generation.State


class StartForm(StartIn):
    """StartIn as a form sends it: parameters are JSON in a field."""

    index_params: Json[IndexParameters] = Field(default_factory=dict)
    search_params: Json[IndexParameters] = Field(default_factory=dict)


class SearchParamsForm(SearchParamsIn):
    """SearchParamsIn as a form sends it."""

    search_params: Json[IndexParameters] = Field(default_factory=dict)


@staff_only
@require_safe
def generation_list(request: HttpRequest) -> HttpResponse:
    overviews = overview.overviews()
    states = {each.generation.state for each in overviews}
    context = {
        "overviews": overviews,
        "can_start": not states & {State.BUILDING, State.READY},
        "can_roll_back": State.RETIRED in states,
        "packs": selectors.usable_packs(),
        "index_types": [name for name in INDEXES if name in INDEXES_OF_MILVUS_LITE or not milvus_is_local()],
        "gates": ROLLBACK_GATES,
    }
    return render(request, "generations/generation_list.html", context)


@staff_only
@require_safe
def generation_detail(request: HttpRequest, number: int) -> HttpResponse:
    generation = overview.generation_numbered(number)
    compared, changes = overview.changes(generation, caller_of(request))
    context = _context(generation) | {
        "gates": GATES,
        "can_activate": _is_unproven(generation),
        "compared": compared,
        "changes": changes[:CHANGES_SHOWN],
        "changed_count": len(changes),
    }
    return render(request, "generations/generation_detail.html", context)


@staff_only
@require_safe
def generation_progress(request: HttpRequest, number: int) -> HttpResponse:
    """The part of the page that changes, for htmx to poll."""
    context = _context(overview.generation_numbered(number))
    status = 200 if context["is_changing"] else STOP_POLLING
    return render(request, "generations/_generation.html", context, status=status)


def _context(generation: Generation) -> dict[str, Any]:
    shown = overview.overview(generation)
    is_checked = bool(shown.check and not shown.check["is_finished"])
    is_behind = shown.progress.done < shown.progress.total
    is_tried = bool(shown.trial and shown.trial["state"] == Trial.State.RUNNING)
    is_changing = _is_unproven(generation) or generation.is_dropping or is_behind or is_checked or is_tried
    recall = generation.match_recall
    return {
        "shown": shown,
        "generation": generation,
        "is_changing": is_changing,
        "match_recall": None if recall is None else f"{recall:.2%}",
    }


def _is_unproven(generation: Generation) -> bool:
    return generation.state in (State.BUILDING, State.READY) and not generation.is_dropping


# -- what operators do ------------------------------------------------------------------------------------


@staff_with(START)
@require_POST
def generation_start(request: HttpRequest) -> HttpResponse:
    try:
        asked = form_of(request, StartForm)
        generation = services.generation_start(actor=actor_of(request), **asked.model_dump())
    except Problem as problem:
        messages.error(request, problem.message)
        return redirect("generation_list")
    messages.success(request, f"Generation {generation.pk} is being built.")
    return redirect("generation_detail", generation.pk)


@staff_with(CHANGE)
@require_POST
def generation_pause(request: HttpRequest, number: int) -> HttpResponse:
    """Pause, or resume if `is_paused` is empty."""
    generation = overview.generation_numbered(number)
    is_paused = bool(request.POST.get("is_paused"))
    services.generation_pause(generation=generation, actor=actor_of(request), is_paused=is_paused)
    return redirect("generation_detail", number)


@staff_with(CHANGE)
@require_POST
def generation_rate(request: HttpRequest, number: int) -> HttpResponse:
    generation = overview.generation_numbered(number)
    try:
        rate_limit = form_of(request, RateIn).rate_limit
        services.rate_set(generation=generation, actor=actor_of(request), rate_limit=rate_limit)
    except Problem as problem:
        messages.error(request, problem.message)
    return redirect("generation_detail", number)


@staff_with(CHANGE)
@require_POST
def generation_search_params(request: HttpRequest, number: int) -> HttpResponse:
    generation = overview.generation_numbered(number)
    try:
        asked = form_of(request, SearchParamsForm)
        trials.search_params_set(
            generation=generation,
            actor=actor_of(request),
            search_params=asked.search_params,
            is_confirmed=asked.confirm,
        )
    except Problem as problem:
        messages.error(request, problem.message)
    return redirect("generation_detail", number)


@staff_with(CHANGE)
@require_POST
def generation_activate(request: HttpRequest, number: int) -> HttpResponse:
    generation = overview.generation_numbered(number)
    override = request.POST.getlist("override")
    try:
        services.generation_activate(generation=generation, actor=actor_of(request), override=override)
        messages.success(request, f"Generation {number} is searched now.")
    except Problem as problem:
        messages.error(request, problem.message)
    return redirect("generation_detail", number)


@staff_with(CHANGE)
@require_POST
def generation_rollback(request: HttpRequest) -> HttpResponse:
    override = request.POST.getlist("override")
    try:
        generation = services.generation_rollback(actor=actor_of(request), override=override)
        messages.success(request, f"Generation {generation.pk} is searched again.")
    except Problem as problem:
        messages.error(request, problem.message)
    return redirect("generation_list")


@staff_with(DROP)
@require_POST
def generation_drop(request: HttpRequest, number: int) -> HttpResponse:
    generation = overview.generation_numbered(number)
    try:
        warning = services.generation_drop(generation=generation, actor=actor_of(request))
    except Problem as problem:
        messages.error(request, problem.message)
        return redirect("generation_detail", number)
    messages.success(request, f"Generation {number} is being dropped.")
    if warning:
        messages.warning(request, warning)
    return redirect("generation_list")
