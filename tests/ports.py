"""Free ports for tests."""

import random
import socket

#: As many as `webapp.operations.ports.LocalPorts` names.
BLOCK = 5


def free_port_block(size: int = BLOCK) -> int:
    """Return the first of `size` consecutive ports that nobody listened on a moment ago."""
    for _ in range(200):
        first = random.randrange(20_000, 32_000, size)
        if all(_is_free(port) for port in range(first, first + size)):
            return first
    raise RuntimeError(f"No {size} free ports in a row were found.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
