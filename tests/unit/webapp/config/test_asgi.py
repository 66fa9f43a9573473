"""The web process once it has started, in a process of its own: what is frozen stays so."""

import subprocess
import sys

SCRIPT = """
import gc
from webapp.config import asgi
asgi._spare_the_collector()
print(gc.get_freeze_count(), len(gc.get_objects()))
"""


def test_what_was_imported_is_left_out_of_garbage_collections() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    frozen, looked_at = map(int, done.stdout.split())
    assert frozen > 50_000
    assert looked_at < 5_000
