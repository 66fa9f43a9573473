"""The environment of the test run, set before Django reads it (`-p tests.environment` in pyproject.toml).

State goes to a folder that is removed at the end; ports are a free block. Nothing of the checkout's own `var/` or of
a service that runs beside the tests is touched.
"""

import atexit
import os
import shutil
import tempfile

from tests.ports import free_port_block

_data_dir = tempfile.mkdtemp(prefix="facequeue-tests-")
atexit.register(shutil.rmtree, _data_dir, ignore_errors=True)

for _name in ("REDIS_URL", "REDIS_CACHE_URL", "MILVUS_URI", "DATABASE_URL", "FACE_PACK"):
    os.environ.pop(_name, None)
os.environ["FACEQUEUE_DATA_DIR"] = _data_dir
os.environ["PORT"] = str(free_port_block())
