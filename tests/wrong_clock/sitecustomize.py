"""For processes under Debian's libfaketime 0.9.10, whose clock_nanosleep() fails when monotonic clocks are left alone.

Python has slept with it since 3.11. Here it sleeps with select(), which libfaketime leaves alone too.
"""

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = _sleep
