"""The API of generations, for staff; for anybody else there is none."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from ninja.security import SessionAuth

from tasks.messages.base import IndexSettings
from webapp.gallery.api import ErrorOut
from webapp.operations import checking
from webapp.operations import generation_overview as overview
from webapp.operations import generation_services as services
from webapp.operations.generation_overview import Change, Overview, Portrait
from webapp.operations.models import Generation
from webapp.problems import not_found


class StaffAuth(SessionAuth):
    """The session's authentication, for staff: to others the address does not exist."""

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        user = super().authenticate(request, key)
        if user is not None and not user.is_staff:
            raise not_found("page")
        return user


router = Router(auth=StaffAuth(), tags=["generations"])


class GenerationCountsOut(Schema):
    """Photos by what became of them in this generation; without `total` they add up to it."""

    total: int
    indexed: int
    no_faces: int
    failed: int
    #: Photos that should have an outcome by now, and those that were added or indexed only just.
    missing: int
    following: int


class GateOut(Schema):
    name: str
    is_open: bool
    #: A sentence in both cases.
    detail: str


class CheckOut(Schema):
    """The latest comparison of the collection with the database: how many faces differ, and ids of the first."""

    is_repair: bool
    is_finished: bool
    #: So far, when it is not finished.
    is_consistent: bool
    started_at: datetime
    finished_at: datetime | None
    face_count: int
    #: The database has them, the collection has not; the other way round; more than once in the collection.
    missing_count: int
    orphaned_count: int
    duplicated_count: int
    missing: list[UUID]
    orphaned: list[UUID]
    duplicated: list[UUID]


class CheckIn(Schema):
    is_repair: bool = False


class GenerationOut(Schema):
    number: int
    state: str
    is_paused: bool
    #: Its collection is being deleted.
    is_dropping: bool
    pack: str
    #: SHA-256 of the pack's files; empty until one of its workers has told.
    fingerprint: str
    dimension: int | None
    collection: str
    index: IndexSettings
    #: Photos per second at most; none: as many as searches bear.
    rate_limit: float | None
    chosen_rate: float | None
    counts: GenerationCountsOut
    #: Photos per second in the last minute.
    rate: float | None
    seconds_left: float | None
    #: The queues of its pack, each with the number of healthy workers that consume it.
    workers: dict[str, int]
    #: What must hold before it is searched; none of the active one.
    gates: list[GateOut]
    check: CheckOut | None
    created: datetime
    activated_at: datetime | None
    retired_at: datetime | None


class SampledFaceOut(Schema):
    """A face by its ids: who may see its photo finds it under them."""

    face_id: UUID
    photo_id: UUID
    gallery_id: UUID
    gallery_name: str


class ChangeOut(Schema):
    """A sampled face whose nearest neighbour is another one in this generation; none for nobody."""

    face: SampledFaceOut
    old: SampledFaceOut | None
    new: SampledFaceOut | None
    old_similarity: float | None
    new_similarity: float | None


class GenerationDetailOut(GenerationOut):
    #: How many sampled faces were compared with the generation that was active.
    compared: int
    changes: list[ChangeOut]


class StartIn(Schema):
    """Everything is optional: the active generation's pack, and the pack's own index, searched as usual."""

    pack: str = Field(default="", max_length=100)
    index_type: str = Field(default="", max_length=20)
    metric_type: str = Field(default="", max_length=20)
    index_params: dict[str, int] = Field(default_factory=dict)
    search_params: dict[str, int] = Field(default_factory=dict)
    rate_limit: float | None = Field(default=None, gt=0)


class RateIn(Schema):
    rate_limit: float | None = Field(default=None, gt=0)


class SwitchIn(Schema):
    """Names of gates that may be closed; each is written to the audit log."""

    override: list[str] = Field(default_factory=list)


class DropOut(Schema):
    number: int
    #: Not empty when it will be done once the queue is back.
    warning: str


@router.get("/generations", response=list[GenerationOut])
def list_generations(request: HttpRequest) -> list[GenerationOut]:
    """List the generations, newest first."""
    return [generation_out(each) for each in overview.overviews()]


@router.post("/generations", response={201: GenerationOut, (400, 409): ErrorOut})
def start_generation(request: HttpRequest, data: StartIn) -> Status[GenerationOut]:
    """Begin a generation beside the active one."""
    generation = services.generation_start(actor=actor_of(request), **data.model_dump())
    return Status(201, _shown(generation.pk))


@router.post("/generations/rollback", response={200: GenerationOut, (400, 409): ErrorOut})
def roll_back(request: HttpRequest, data: SwitchIn) -> GenerationOut:
    """Search the generation again that was active before."""
    return _shown(services.generation_rollback(actor=actor_of(request), override=data.override).pk)


@router.get("/generations/{int:number}", response={200: GenerationDetailOut, 404: ErrorOut})
def show_generation(request: HttpRequest, number: int) -> GenerationDetailOut:
    """Show one: its progress, gates, and the answers that change with it."""
    generation = overview.generation_numbered(number)
    compared, changes = overview.changes(generation, request.user)
    shown = generation_out(overview.overview(generation)).model_dump()
    return GenerationDetailOut(**shown, compared=compared, changes=[_change_out(change) for change in changes])


@router.post("/generations/{int:number}/pause", response={200: GenerationOut, 404: ErrorOut})
def pause_generation(request: HttpRequest, number: int) -> GenerationOut:
    """Send no more photos to it. What was sent is still done."""
    return _paused(request, number, is_paused=True)


@router.post("/generations/{int:number}/resume", response={200: GenerationOut, 404: ErrorOut})
def resume_generation(request: HttpRequest, number: int) -> GenerationOut:
    """Send photos to it again."""
    return _paused(request, number, is_paused=False)


@router.post("/generations/{int:number}/rate", response={200: GenerationOut, 404: ErrorOut})
def set_rate(request: HttpRequest, number: int, data: RateIn) -> GenerationOut:
    """Bound the photos per second; none: as many as searches bear."""
    generation = overview.generation_numbered(number)
    services.rate_set(generation=generation, actor=actor_of(request), rate_limit=data.rate_limit)
    return _shown(number)


@router.post("/generations/{int:number}/activate", response={200: GenerationOut, (400, 404, 409): ErrorOut})
def activate_generation(request: HttpRequest, number: int, data: SwitchIn) -> GenerationOut:
    """Search it from now on. A closed gate refuses, unless it is overridden by its name."""
    generation = overview.generation_numbered(number)
    services.generation_activate(generation=generation, actor=actor_of(request), override=data.override)
    return _shown(number)


@router.post("/generations/{int:number}/check", response={202: GenerationOut, (404, 409): ErrorOut})
def check_generation(request: HttpRequest, number: int, data: CheckIn) -> Status[GenerationOut]:
    """Compare its collection with the database, and put right what differs when that is asked for."""
    generation = overview.generation_numbered(number)
    checking.check_start(generation=generation, actor=actor_of(request), is_repair=data.is_repair)
    return Status(202, _shown(number))


@router.delete("/generations/{int:number}", response={202: DropOut, (404, 409): ErrorOut})
def drop_generation(request: HttpRequest, number: int) -> Status[DropOut]:
    """Delete a generation with its collection; not the active one."""
    generation = overview.generation_numbered(number)
    warning = services.generation_drop(generation=generation, actor=actor_of(request))
    return Status(202, DropOut(number=number, warning=warning))


def actor_of(request: HttpRequest) -> str:
    """Who it is, for the audit log."""
    return request.user.get_username()


def generation_out(shown: Overview) -> GenerationOut:
    """A generation as the API and `manage.py reindex --json` show it."""
    generation: Generation = shown.generation
    return GenerationOut(
        number=generation.pk,
        index=generation.target.index,
        counts=GenerationCountsOut.from_orm(shown.progress),
        rate=shown.rate,
        seconds_left=shown.seconds_left,
        workers=shown.workers.workers,
        gates=[GateOut.from_orm(gate) for gate in shown.gates],
        check=CheckOut.model_validate(shown.check) if shown.check else None,
        state=generation.state,
        is_paused=generation.is_paused,
        is_dropping=generation.is_dropping,
        pack=generation.pack,
        fingerprint=generation.fingerprint,
        dimension=generation.dimension,
        collection=generation.collection,
        rate_limit=generation.rate_limit,
        chosen_rate=generation.chosen_rate,
        created=generation.created,
        activated_at=generation.activated_at,
        retired_at=generation.retired_at,
    )


def _shown(number: int) -> GenerationOut:
    return generation_out(overview.overview(overview.generation_numbered(number)))


def _paused(request: HttpRequest, number: int, *, is_paused: bool) -> GenerationOut:
    generation = overview.generation_numbered(number)
    services.generation_pause(generation=generation, actor=actor_of(request), is_paused=is_paused)
    return _shown(number)


def _change_out(change: Change) -> ChangeOut:
    return ChangeOut(
        face=_sampled(change.face),
        old=_sampled(change.old) if change.old else None,
        new=_sampled(change.new) if change.new else None,
        old_similarity=change.old_similarity,
        new_similarity=change.new_similarity,
    )


def _sampled(portrait: Portrait) -> SampledFaceOut:
    photo = portrait.face.photo
    return SampledFaceOut(
        face_id=portrait.face.id,
        photo_id=photo.id,
        gallery_id=photo.gallery_id,
        gallery_name=photo.gallery.name,
    )
