"""Free ports for tests."""

import random
import socket

#: As many as `webapp.config.ports.LocalPorts` names.
BLOCK = 5


def free_port_block() -> int:
    """Return the first of five consecutive ports that nobody listened on a moment ago."""
    for _ in range(200):
        first = random.randrange(20_000, 32_000, BLOCK)
        if all(_is_free(port) for port in range(first, first + BLOCK)):
            return first
    raise RuntimeError("No five free ports in a row were found.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
