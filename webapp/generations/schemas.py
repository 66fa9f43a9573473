"""Generations as the API and `manage.py reindex --json` show them."""

from datetime import datetime
from uuid import UUID

from ninja import Field, Schema

from tasks.messages.base import IndexSettings
from webapp.generations.models import Generation
from webapp.generations.overview import Change, Overview, Portrait
from webapp.http.schemas import IndexParameters, JsonIn, PhotosPerSecond


class GenerationCountsOut(Schema):
    """Photos by their outcome in this generation; the other counts add up to `total`."""

    total: int
    indexed: int
    no_faces: int
    failed: int
    #: Photos that should have an outcome by now, and those that were only just added or indexed.
    missing: int
    following: int


class GateOut(Schema):
    name: str
    is_open: bool
    #: A sentence in both cases.
    detail: str


class CheckOut(Schema):
    """The latest comparison of the collection with the database: how many faces differ, and some of their ids."""

    is_repair: bool
    is_finished: bool
    #: So far, if it is not finished.
    is_consistent: bool
    started_at: datetime
    finished_at: datetime | None
    face_count: int
    #: Only in the database; only in the collection; more than once in the collection.
    missing_count: int
    orphaned_count: int
    duplicated_count: int
    missing: list[UUID]
    orphaned: list[UUID]
    duplicated: list[UUID]


class CheckIn(JsonIn):
    is_repair: bool = False


class TrialOut(Schema):
    """The latest change of a generation's search parameters while it was searched, and what has become of it."""

    #: "running", "kept" or "undone".
    state: str
    search_params: dict[str, int]
    previous: dict[str, int]
    #: Match recall (0..1) with the previous parameters and with the new ones; none while it is not known.
    recall_before: float | None
    recall_after: float | None
    is_confirmed: bool
    started_at: datetime
    settled_at: datetime | None
    #: A sentence.
    detail: str


class SearchParamsIn(JsonIn):
    """What searches of a live generation use from now on; empty: the defaults of its index."""

    search_params: IndexParameters
    #: Keep them even when they find fewer matches than the present ones.
    confirm: bool = False


class GenerationOut(Schema):
    number: int
    state: str
    is_paused: bool
    #: Its collection is being deleted.
    is_dropping: bool
    pack: str
    #: SHA-256 of the pack's files; empty until one of its workers has reported it.
    fingerprint: str
    dimension: int | None
    collection: str
    index: IndexSettings
    #: Photos per second at most; none: as fast as searches allow.
    rate_limit: float | None
    chosen_rate: float | None
    counts: GenerationCountsOut
    #: Photos per second in the last minute.
    rate: float | None
    seconds_left: float | None
    #: The queues of its pack, each with the number of healthy workers that consume it.
    workers: dict[str, int]
    #: What must hold before it is searched; empty for the active one.
    gates: list[GateOut]
    check: CheckOut | None
    trial: TrialOut | None
    #: The share (0..1) of true matches that searches find, as measured last; none while it is not known.
    match_recall: float | None
    created: datetime
    activated_at: datetime | None
    retired_at: datetime | None


class GenerationsOut(Schema):
    items: list[GenerationOut]
    #: The `cursor` of the next part; null at the end.
    next_cursor: str | None


class SampledFaceOut(Schema):
    """A face; null: which photo and gallery it is in, unless you may see them."""

    face_id: UUID
    photo_id: UUID | None = None
    gallery_id: UUID | None = None
    gallery_name: str | None = None


class ChangeOut(Schema):
    """A sampled face whose nearest neighbour differs in this generation; null: no neighbour.

    Each similarity is on the scale of its own generation's pack.
    """

    face: SampledFaceOut
    old: SampledFaceOut | None
    new: SampledFaceOut | None
    old_similarity: float | None
    new_similarity: float | None


class GenerationDetailOut(GenerationOut):
    #: How many sampled faces were compared with the generation that was active.
    compared: int
    changes: list[ChangeOut]


class StartIn(JsonIn):
    """Everything is optional: by default the active generation's pack, and the default index and search parameters."""

    pack: str = Field(default="", max_length=100)
    index_type: str = Field(default="", max_length=20)
    metric_type: str = Field(default="", max_length=20)
    index_params: IndexParameters = Field(default_factory=dict)
    search_params: IndexParameters = Field(default_factory=dict)
    rate_limit: PhotosPerSecond | None = None


class RateIn(JsonIn):
    rate_limit: PhotosPerSecond | None = None


class SwitchIn(JsonIn):
    """Names of gates that may be closed; each is written to the audit log."""

    override: list[str] = Field(default_factory=list)


class DropOut(Schema):
    number: int
    #: Not empty when it will be done once the queue is back.
    warning: str


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
        trial=TrialOut.model_validate(shown.trial) if shown.trial else None,
        match_recall=generation.match_recall,
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


def change_out(change: Change) -> ChangeOut:
    return ChangeOut(
        face=_sampled(change.face),
        old=_sampled(change.old) if change.old else None,
        new=_sampled(change.new) if change.new else None,
        old_similarity=change.old_similarity,
        new_similarity=change.new_similarity,
    )


def _sampled(portrait: Portrait) -> SampledFaceOut:
    if not portrait.is_visible:
        return SampledFaceOut(face_id=portrait.face.id)
    photo = portrait.face.photo
    return SampledFaceOut(
        face_id=portrait.face.id,
        photo_id=photo.id,
        gallery_id=photo.gallery_id,
        gallery_name=photo.gallery.name,
    )
