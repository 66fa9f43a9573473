"""A network of a test's own, for tests that need fixed ports."""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

# From <linux/sched.h>, <linux/sockios.h> and <linux/if.h>; Python has unshare() and setns() from 3.12 on only.
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


@contextmanager
def own_network() -> Iterator[None]:
    """Run the block in a network namespace that has only a loopback interface; processes it starts are in it too.

    Only the calling thread moves. So open no gRPC client in the block, but in a process that it starts: the threads of
    gRPC serve all clients of a process, and stay in the network in which the first one was opened.
    Skips the test where the system does not permit namespaces.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            if number in (errno.EPERM, errno.ENOSYS, errno.EINVAL):
                pytest.skip(f"This system does not permit network namespaces: {os.strerror(number)}.")
            raise OSError(number, os.strerror(number))
        try:
            _bring_up_loopback()
            yield
        finally:
            if libc.setns(before, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "The thread cannot leave its network namespace.")
    finally:
        os.close(before)


def _bring_up_loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))
