"""Serve the web: `python -m webapp.config.server`, at WEB_HOST and PORT.

`uvicorn webapp.config.asgi:application` serves the same application, without the bounds of connections.py, which
uvicorn's command line cannot name.
"""

import os
import resource
from typing import Final

import uvicorn

from tasks.starting import check_settings_or_exit

#: An idle connection is kept longer than any Retry-After: a client that asks again does not hit a closing one.
KEEP_ALIVE_SECONDS: Final = 30
#: How long open requests may take once the process is told to stop.
SHUTDOWN_SECONDS: Final = 5
#: Files that the process opens besides its connections and their uploads: libraries, the database, Redis.
OTHER_FILES: Final = 256


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    check_settings_or_exit()
    from django.conf import settings

    from webapp.config.connections import OpenConnections, limited
    from webapp.http.shares import Proxies

    most = allow_files(2 * settings.WEB_MAX_CONNECTIONS + OTHER_FILES) - OTHER_FILES
    open_connections = OpenConnections(
        most=min(settings.WEB_MAX_CONNECTIONS, most // 2),
        most_per_client=settings.WEB_MAX_CONNECTIONS_PER_CLIENT,
        proxies=Proxies(settings.TRUSTED_PROXIES),
    )
    uvicorn.run(
        "webapp.config.asgi:application",
        host=settings.WEB_HOST,
        port=settings.PORTS.web,
        http=limited(open_connections),
        ws="none",
        loop="asyncio",
        access_log=False,  # webapp/http/request_ids.py logs each request
        log_config=None,  # Django's
        server_header=False,
        forwarded_allow_ips=settings.TRUSTED_PROXIES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def allow_files(wanted: int) -> int:
    """Let this process open so many files, as far as the system allows; return how many it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)


if __name__ == "__main__":
    main()
