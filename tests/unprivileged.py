"""Taking away from a thread what root may do, so that files which nobody may read cannot be read in tests either."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: _LINUX_CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH in linux/capability.h.
_VERSION: Final = 0x20080522
_READS_ANYTHING: Final = 1 << 1 | 1 << 2


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Capabilities(ctypes.Structure):
    """Two words of each set; the capabilities in question are in the first one."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable", "_e", "_p", "_i")]


@contextmanager
def no_reading_of_anything() -> Iterator[None]:
    """Let file permissions count for this thread until the block ends, if it belongs to root."""
    if os.geteuid() != 0:
        yield
        return
    libc, header, found = ctypes.CDLL(None, use_errno=True), _Header(version=_VERSION), _Capabilities()
    _check(libc.capget(ctypes.byref(header), ctypes.byref(found)))
    before = found.effective
    found.effective = before & ~_READS_ANYTHING
    _check(libc.capset(ctypes.byref(header), ctypes.byref(found)))
    try:
        yield
    finally:
        found.effective = before
        _check(libc.capset(ctypes.byref(header), ctypes.byref(found)))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "the capabilities of this thread cannot be changed")
