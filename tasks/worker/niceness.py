"""Who goes first where processes share a processor: the web, then searches, then the records, bulk work last.

A page is a few milliseconds of work. Among workers that compute all the time it would wait for its turn again and
again.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

#: Steps of niceness by a queue's first word. The web, Redis and beat have none. A step is about a fifth of the time.
STEPS: Final = {"search": 5, "records": 5, "index": 10, "reindex": 15}
#: Linux shares time among sessions first where sched_autogroup_enabled is on, and a process started by a supervisor
#: often is one alone. Then its niceness means nothing and this file is what counts (sched(7), "The autogroup feature").
AUTOGROUP: Final = Path("/proc/self/autogroup")


def give_way(queues: Iterable[str]) -> int:
    """Let others go before this process, as far as its most urgent queue allows; return the steps.

    Call before threads are started: they inherit it. It needs no rights and is no promise: containers share by weights.
    """
    steps = min((STEPS.get(queue.partition(".")[0], 0) for queue in queues), default=0)
    nice = os.nice(steps - os.nice(0)) if steps > os.nice(0) else os.nice(0)
    try:
        if AUTOGROUP.exists() and os.getsid(0) == os.getpid():
            AUTOGROUP.write_text(str(nice))
    except OSError as error:  # the kernel takes few changes in a short time
        logger.info("The session's niceness stays as it is: %s", error)
    return nice
