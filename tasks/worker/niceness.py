"""Who goes first where processes share a processor: the web, then searches and records, bulk work last.

A page takes a few milliseconds of work. Behind workers that compute all the time it would wait again and again.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tasks.roles import role_of

logger = logging.getLogger(__name__)

#: Where sched_autogroup_enabled is on, Linux divides time among sessions first, and a supervisor often starts each
#: process in its own session. Niceness then counts for nothing; this file does (sched(7), "The autogroup feature").
AUTOGROUP: Final = Path("/proc/self/autogroup")


def lower_priority(queues: Iterable[str]) -> int:
    """Lower this process' priority as far as its most urgent queue allows; return its niceness.

    Call before threads start: they inherit it. It needs no privileges and guarantees nothing: containers share by
    weights.
    """
    roles = [role_of(queue) for queue in queues]
    steps = min((role.niceness if role else 0 for role in roles), default=0)
    nice = os.nice(steps - os.nice(0)) if steps > os.nice(0) else os.nice(0)
    try:
        if AUTOGROUP.exists() and os.getsid(0) == os.getpid():
            AUTOGROUP.write_text(str(nice))
    except OSError as error:  # the kernel accepts few changes in a short time
        logger.info("The session keeps its niceness: %s", error)
    return nice
