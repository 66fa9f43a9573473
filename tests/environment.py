"""The environment of the test run, set before Django reads it (`-p tests.environment` in pyproject.toml).

State goes to a folder that is removed at the end; ports are a free block. Nothing of the checkout's own `var/` or of
a service that runs beside the tests is touched. TEST_DATABASE_URL names another database than SQLite for the tests of
the Django side: a PostgreSQL server, on which a database of its own is made and removed.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.ports import free_port_block

_data_dir = tempfile.mkdtemp(prefix="facequeue-tests-")
atexit.register(shutil.rmtree, _data_dir, ignore_errors=True)

for _name in ("REDIS_URL", "REDIS_CACHE_URL", "MILVUS_URI", "MILVUS_HOST", "MILVUS_PORT", "DATABASE_URL", "FACE_PACK"):
    os.environ.pop(_name, None)
if _database_url := os.environ.get("TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = _database_url
os.environ["FACEQUEUE_DATA_DIR"] = _data_dir
# The face model that the set-up has fetched; tests only read it.
os.environ["FACE_PACKS_DIR"] = str(Path(__file__).parents[1] / "var" / "packs")
os.environ["FACEQUEUE_RUNNING_FILE"] = os.path.join(_data_dir, "running.json")
os.environ["PORT"] = str(free_port_block())
