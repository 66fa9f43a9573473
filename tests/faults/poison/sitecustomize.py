"""Puts a fault into the workers of a test, which have this folder on their PYTHONPATH. Production code has no hook.

A picture that ends with `poison()` kills the process that decodes it, as a bug in a native decoder would. With
FAULTS_DECODED_LOG set, each decode adds a line to that file.
"""

import os
import sys
import time

POISON = b"poison-for-the-decoder "


def poison(*, delay_ms: int) -> bytes:
    """Return bytes that kill the process, so long after it has begun to decode."""
    return POISON + b"%d" % delay_ms


if "worker" in sys.orig_argv:
    from worker.images import decoding as images

    decode = images.decode

    def decode_or_die(data, **options):  # type: ignore[no-untyped-def]
        if POISON in data:
            time.sleep(int(data.rpartition(POISON)[2]) / 1000)
            os.kill(os.getpid(), 9)
        if path := os.environ.get("FAULTS_DECODED_LOG"):
            with open(path, "a") as log:
                log.write(f"{os.getpid()}\n")
        return decode(data, **options)

    images.decode = decode_or_die
