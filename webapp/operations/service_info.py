"""`service_info`: what every template may show about the service. Nothing is read until a template uses it."""

from functools import cached_property

from django.http import HttpRequest

from tasks.health.checks import HealthReport, judge
from tasks.targets import collection_config
from tasks.work_queue import work_queue
from webapp.accounts.callers import Caller, caller_of
from webapp.gallery.models import Face
from webapp.gallery.selectors import photos_for
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation


class VectorDatabaseInfo:
    """The active generation's collection and the state of the vector database.

    Counts cover what the visitor may see; the collection is that of the whole service.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _generation(self) -> Generation:
        return active_generation()

    @cached_property
    def _health(self) -> HealthReport:
        return judge(work_queue().worker_reports(), self._generation.target)

    @property
    def pack(self) -> str:
        return self._generation.pack

    @property
    def collection(self) -> str:
        return self._generation.collection

    @property
    def dimension(self) -> int | None:
        """Values per embedding; None until a worker of the pack has reported it."""
        return self._generation.dimension

    @property
    def index_type(self) -> str:
        return collection_config(self._generation.target).index_type

    @cached_property
    def total_vectors(self) -> int:
        """Faces that the database records in the active generation, in the galleries that the visitor may see."""
        visible = photos_for(self._caller)
        return Face.generations.through.objects.filter(generation=self._generation, face__photo__in=visible).count()

    @property
    def connection_status(self) -> str:
        """ "connected", "disconnected" or "unknown", as the search workers report it."""
        return self._health.connection_status

    @property
    def collection_status(self) -> str:
        """ "loaded", "released", "missing" or "unknown", as the search workers report it."""
        return self._health.collection_status


class ServiceInfo:
    """What a template may show about the service."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def vector_database(self) -> VectorDatabaseInfo | None:
        """None for visitors who are not logged in, who may see nothing."""
        if not hasattr(self._request, "user"):  # an error page may be rendered before there is one
            return None
        caller = caller_of(self._request)
        return VectorDatabaseInfo(caller) if caller.is_known else None


def service_info(request: HttpRequest) -> dict[str, ServiceInfo]:
    """Context processor."""
    return {"service_info": ServiceInfo(request)}
