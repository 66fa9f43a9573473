"""Puts a fault into the workers of a test, which have this folder on their PYTHONPATH. Production code has no hook.

A picture that holds POISON kills the process that decodes it, as a bug in a native decoder would. With
FAULTS_DECODED_LOG set, each decode adds a line to that file.
"""

import os
import sys

POISON = b"poison-for-the-decoder"

if "worker" in sys.orig_argv:
    from worker import images

    decode = images.decode

    def decode_or_die(data, **options):  # type: ignore[no-untyped-def]
        if POISON in data:
            os.kill(os.getpid(), 9)
        if path := os.environ.get("FAULTS_DECODED_LOG"):
            with open(path, "a") as log:
                log.write(f"{os.getpid()}\n")
        return decode(data, **options)

    images.decode = decode_or_die
