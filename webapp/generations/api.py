"""The API of generations, for staff; for anybody else it does not exist. Changes need Django's permissions."""

from typing import Final

from django.http import HttpRequest
from ninja import Router, Status

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.accounts.staff import actor_of
from webapp.generations import overview, services
from webapp.generations.models import CHANGE, DROP, START, Generation
from webapp.generations.schemas import (
    CheckIn,
    DropOut,
    GenerationDetailOut,
    GenerationOut,
    GenerationsOut,
    RateIn,
    SearchParamsIn,
    StartIn,
    SwitchIn,
    change_out,
    generation_out,
)
from webapp.generations.searched import trials
from webapp.http.rest.cursors import Cursor, Limit, part_of
from webapp.http.schemas import ProblemOut, RowNumber
from webapp.indexing import consistency

router = Router(auth=Needs(Scope.ADMIN, permission=""), tags=["generations"])
may_start, may_change, may_drop = (Needs(Scope.ADMIN, permission=each) for each in (START, CHANGE, DROP))

#: Why a change may be refused.
REFUSED: Final = (400, 403, 404, 409)


@router.get("/generations", response={200: GenerationsOut, (403, 404, 422): ProblemOut})
def list_generations(request: HttpRequest, limit: Limit = 100, cursor: Cursor = "") -> GenerationsOut:
    """List the generations, newest first."""
    part, next_cursor = part_of(Generation.objects.all(), order=("-id",), cursor=cursor, limit=limit)
    return GenerationsOut(items=[generation_out(each) for each in overview.overviews(part)], next_cursor=next_cursor)


@router.post("/generations", response={201: GenerationOut, REFUSED: ProblemOut}, auth=may_start)
def start_generation(request: HttpRequest, data: StartIn) -> Status[GenerationOut]:
    """Start building a generation beside the active one."""
    generation = services.generation_start(actor=actor_of(request), **data.model_dump())
    return Status(201, _shown(generation.pk))


@router.post("/generations/rollback", response={200: GenerationOut, REFUSED: ProblemOut}, auth=may_change)
def roll_back(request: HttpRequest, data: SwitchIn) -> GenerationOut:
    """Return to the previously active generation."""
    return _shown(services.generation_rollback(actor=actor_of(request), override=data.override).pk)


@router.get("/generations/{int:number}", response={200: GenerationDetailOut, 404: ProblemOut})
def show_generation(request: HttpRequest, number: RowNumber) -> GenerationDetailOut:
    """Show one: its progress, gates, and the answers that change with it."""
    generation = overview.generation_numbered(number)
    compared, changes = overview.changes(generation, caller_of(request))
    shown = generation_out(overview.overview(generation)).model_dump()
    return GenerationDetailOut(**shown, compared=compared, changes=[change_out(change) for change in changes])


@router.post("/generations/{int:number}/pause", response={200: GenerationOut, REFUSED: ProblemOut}, auth=may_change)
def pause_generation(request: HttpRequest, number: RowNumber) -> GenerationOut:
    """Send it no more photos. Those already sent are still indexed."""
    return _paused(request, number, is_paused=True)


@router.post("/generations/{int:number}/resume", response={200: GenerationOut, REFUSED: ProblemOut}, auth=may_change)
def resume_generation(request: HttpRequest, number: RowNumber) -> GenerationOut:
    """Resume sending photos to it."""
    return _paused(request, number, is_paused=False)


@router.post("/generations/{int:number}/rate", response={200: GenerationOut, REFUSED: ProblemOut}, auth=may_change)
def set_rate(request: HttpRequest, number: RowNumber, data: RateIn) -> GenerationOut:
    """Limit the photos per second; without a limit, as fast as searches allow."""
    generation = overview.generation_numbered(number)
    services.rate_set(generation=generation, actor=actor_of(request), rate_limit=data.rate_limit)
    return _shown(number)


@router.post(
    "/generations/{int:number}/search-params", response={202: GenerationOut, REFUSED: ProblemOut}, auth=may_change
)
def set_search_params(request: HttpRequest, number: RowNumber, data: SearchParamsIn) -> Status[GenerationOut]:
    """Search it with other parameters. A change that finds fewer matches is undone, and `trial` says so."""
    generation = overview.generation_numbered(number)
    trials.search_params_set(
        generation=generation,
        actor=actor_of(request),
        search_params=data.search_params,
        is_confirmed=data.confirm,
    )
    return Status(202, _shown(number))


@router.post("/generations/{int:number}/activate", response={200: GenerationOut, REFUSED: ProblemOut}, auth=may_change)
def activate_generation(request: HttpRequest, number: RowNumber, data: SwitchIn) -> GenerationOut:
    """Search it from now on. A closed gate prevents that, unless it is overridden by name."""
    generation = overview.generation_numbered(number)
    services.generation_activate(generation=generation, actor=actor_of(request), override=data.override)
    return _shown(number)


@router.post("/generations/{int:number}/check", response={202: GenerationOut, REFUSED: ProblemOut}, auth=may_change)
def check_generation(request: HttpRequest, number: RowNumber, data: CheckIn) -> Status[GenerationOut]:
    """Compare its collection with the database, and repair the differences if requested."""
    generation = overview.generation_numbered(number)
    consistency.check_start(generation=generation, actor=actor_of(request), is_repair=data.is_repair)
    return Status(202, _shown(number))


@router.delete("/generations/{int:number}", response={202: DropOut, REFUSED: ProblemOut}, auth=may_drop)
def drop_generation(request: HttpRequest, number: RowNumber) -> Status[DropOut]:
    """Drop a generation and its collection. The active one cannot be dropped."""
    generation = overview.generation_numbered(number)
    warning = services.generation_drop(generation=generation, actor=actor_of(request))
    return Status(202, DropOut(number=number, warning=warning))


def _shown(number: int) -> GenerationOut:
    return generation_out(overview.overview(overview.generation_numbered(number)))


def _paused(request: HttpRequest, number: int, *, is_paused: bool) -> GenerationOut:
    generation = overview.generation_numbered(number)
    services.generation_pause(generation=generation, actor=actor_of(request), is_paused=is_paused)
    return _shown(number)
