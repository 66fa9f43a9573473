"""The ASGI entry: Django behind a lifespan that opens and closes the process' SearchClient."""

import gc
import itertools
import math
import os
import sys
from contextlib import suppress
from typing import IO, Any, Final

import django
from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest

from tasks.starting import check_settings_or_exit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")

#: Threads for the synchronous parts of requests (middleware, the ORM) in one web process.
SYNC_THREADS: Final = 8


class TidyRequest(ASGIRequest):
    """Removes the file of a photo that could not be parsed to its end: Django would leave it to garbage collection."""

    def _load_post_and_files(self) -> None:
        try:
            super()._load_post_and_files()
        except Exception:
            for handler in self.upload_handlers:
                with suppress(OSError):  # the disk is full: closing the file says so again, and removes it
                    handler.upload_interrupted()
            raise


class SharedThreadsASGIHandler(ASGIHandler):
    """Django's handler with a fixed number of threads, however many requests are open.

    Django gives each request a thread of its own for its synchronous parts and keeps it until the request ends:
    200 searches that wait for their answer would hold 200 idle threads. Here requests take turns on a few. Each
    part is short, and a database transaction never spans two of them.

    Works behind the door only, which has read the body already.
    """

    request_class = TidyRequest

    def __init__(self) -> None:
        super().__init__()
        self._contexts = itertools.cycle([ThreadSensitiveContext() for _ in range(SYNC_THREADS)])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        SyncToAsync.thread_sensitive_context.set(next(self._contexts))
        await self.handle(scope, receive, send)

    async def read_body(self, receive: "Delivered") -> IO[bytes]:  # type: ignore[override]
        """Return the body as the door has taken it in; Django would copy it."""
        return receive.body


check_settings_or_exit()
django.setup(set_prefix=False)

# Their modules read the settings, so they are imported after setup.
from tasks.dictionaries import max_request_bytes  # noqa: E402
from tasks.health.clocks import clock_reports  # noqa: E402
from tasks.web.search_client import SearchClient, search_client, set_search_client  # noqa: E402
from webapp.accounts.passengers import Passengers  # noqa: E402
from webapp.config import urls as _urls  # noqa: E402, F401 - now, not during the first request
from webapp.config.routes import ROUTES  # noqa: E402
from webapp.generations.selectors import ActiveTarget  # noqa: E402
from webapp.http.bodies import COPIES, Bodies  # noqa: E402
from webapp.http.door import Delivered, Door  # noqa: E402
from webapp.http.request_ids import RequestIds  # noqa: E402
from webapp.http.shares import Budget, Proxies, Rates  # noqa: E402
from webapp.http.spool import Spool  # noqa: E402

#: A picture of unknown length needs its share, half of the budget, to itself.
_least_memory = 2 * COPIES * max_request_bytes()
if _least_memory > settings.BODY_MEMORY_BYTES:
    sys.exit(
        f"facequeue cannot start: BODY_MEMORY_MB must be at least {math.ceil(_least_memory / 2**20)} for the pictures "
        "that FACE_MAX_IMAGE_BYTES allows."
    )
_memory = Budget(settings.BODY_MEMORY_BYTES)
_spool = Spool(
    settings.FILE_UPLOAD_TEMP_DIR,
    memory=_memory,
    disk=Budget(settings.UPLOAD_DISK_BYTES),
    uploads_per_client=settings.UPLOADS_PER_USER,
)
_handler = RequestIds(
    Door(
        SharedThreadsASGIHandler(),
        routes=ROUTES,
        who=Passengers(),
        rates=Rates(settings.REQUESTS_PER_SECOND),
        bodies=Bodies(memory=_memory, spool=_spool, bytes_per_second=settings.BODY_BYTES_PER_SECOND),
        proxies=Proxies(settings.TRUSTED_PROXIES),
        admission=search_client,
    )
)


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await _handler(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    """Hold the service open between the server's startup and shutdown messages."""
    await receive()
    _spool.open()
    with clock_reports("web"):  # blocks while nobody is served yet, or any more
        async with SearchClient(active_target=ActiveTarget()) as service:
            set_search_client(service)
            _spare_the_collector()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            set_search_client(None)
        _spool.close()
        await send({"type": "lifespan.shutdown.complete"})


def _spare_the_collector() -> None:
    """Leave what was imported out of every later garbage collection: it is never garbage.

    A full collection would examine all of it, 100,000 objects, and hold up every request for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
