"""The ASGI entry: Django behind a lifespan that opens and closes the process' SearchClient."""

import gc
import itertools
import os
from typing import Any, Final

import django
from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.core.handlers.asgi import ASGIHandler

from tasks.starting import check_settings_or_exit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")

#: Threads for the synchronous parts of requests (middleware, the ORM) in one web process.
SYNC_THREADS: Final = 8


class SharedThreadsASGIHandler(ASGIHandler):
    """Django's handler with a fixed number of threads, however many requests are open.

    Django gives each request a thread of its own for its synchronous parts and keeps it until the request ends:
    200 searches that wait for their answer would hold 200 idle threads. Here requests take turns on a few. Each
    part is short, and a database transaction never spans two of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._contexts = itertools.cycle([ThreadSensitiveContext() for _ in range(SYNC_THREADS)])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        SyncToAsync.thread_sensitive_context.set(next(self._contexts))
        await self.handle(scope, receive, send)


check_settings_or_exit()
django.setup(set_prefix=False)

# Their modules read the settings, so they are imported after setup.
from tasks.health.clocks import clock_reports  # noqa: E402
from tasks.web.search_client import SearchClient, search_client, set_search_client  # noqa: E402
from webapp.accounts.session_clients import SessionClients  # noqa: E402
from webapp.config import urls as _urls  # noqa: E402, F401 - now, not during the first request
from webapp.generations.selectors import ActiveTarget  # noqa: E402
from webapp.http.door import Door  # noqa: E402
from webapp.http.request_ids import RequestIds  # noqa: E402

_handler = RequestIds(Door(SharedThreadsASGIHandler(), admission=search_client, who=SessionClients()))


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await _handler(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    """Hold the service open between the server's startup and shutdown messages."""
    await receive()
    with clock_reports("web"):  # blocks while nobody is served yet, or any more
        async with SearchClient(active_target=ActiveTarget()) as service:
            set_search_client(service)
            _spare_the_collector()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            set_search_client(None)
        await send({"type": "lifespan.shutdown.complete"})


def _spare_the_collector() -> None:
    """Leave what was imported out of every later garbage collection: it is never garbage.

    A full collection would examine all of it, 100,000 objects, and hold up every request for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
